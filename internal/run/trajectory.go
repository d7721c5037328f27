package run

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
)

// Of what is wrong with a file in a run folder: what to do.
const again = "run the experiment again with --force or in another folder"

// ReadTrajectory reads a trajectory of a run folder. Status and diagnostics are in the manifest.
func ReadTrajectory(path string) (*dmft.Trajectory, error) { return read(path, dmft.ReadNPZ) }

// ReadHighDimensional reads a trajectory of package highdim.
func ReadHighDimensional(path string) (*highdim.Trajectory, error) {
	return read(path, highdim.ReadNPZ)
}

func read[T any](path string, of func(string) (T, error)) (t T, err error) {
	var system *fs.PathError
	if t, err = of(path); err != nil && !errors.As(err, &system) {
		err = fmt.Errorf("%w; %s", err, again)
	}
	return t, err
}

// notOurs is the error of a file that can be read and does not hold what it should.
func notOurs(path, what string, err error) error {
	return fmt.Errorf("%s is damaged, or no %s of this program: %w; %s", path, what, err, again)
}
