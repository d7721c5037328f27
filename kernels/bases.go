package kernels

// A Base describes a base function.
type Base struct {
	Name      string
	Formula   string
	Parameter Parameter // its Key is empty for functions without parameters
}

// Parameter describes what a base function takes besides a gain and a scale: one number, Activation.Parameter, or Many,
// Activation.Coefficients.
type Parameter struct {
	Key     string // in experiment files
	Meaning string
	Example string // in an experiment file
	Many    bool
}

// definition is a base function. Everything but its values and derivatives is a capability that may be nil.
type definition struct {
	Base
	eval   func(phi, dphi, h []float64, s shape) // outputs are as long as h or nil; phi may be h
	eval32 func(phi, dphi, h []float32, s shape)
	at     func(x float64, s shape) (v, d, second float64) // of the base function, without gain and scale
	dual   func(va, vb, c float64, s shape) (phi, dphi float64)

	// dual costs some tens of nanoseconds
	closed      func(s shape) bool
	pairs       func(variance []float64, s shape) func(i, j int, c float64) (phi, dphi float64) // of many pairs, or nil
	odd         func(s shape) bool
	homogeneous func(s shape) bool
	kinks       func(s shape) []float64
	polynomial  func(s shape) ([]float64, bool)
	simpler     func(s shape) *definition // an equal function that is cheaper, or nil
}

// The base functions in the order in which they are listed.
var table = []*definition{&linear, &relu, &leakyReLU, &erf, &tanh, &gelu, &softplus, &quadraticMix, &polynomial}

// Bases describes the base functions.
func Bases() []Base {
	b := make([]Base, len(table))
	for i, d := range table {
		b[i] = d.Base
	}
	return b
}

// Names lists the base functions.
func Names() []string {
	n := make([]string, len(table))
	for i, d := range table {
		n[i] = d.Name
	}
	return n
}

// Describe describes the base function of a name; the zero Base is that of an unknown one.
func Describe(name string) Base {
	if d := find(name); d != nil {
		return d.Base
	}
	return Base{}
}

var byName = func() map[string]*definition {
	m := make(map[string]*definition, len(table))
	for _, d := range table {
		m[d.Name] = d
	}
	return m
}()

// find returns the base function of a name, or nil.
func find(name string) *definition { return byName[name] }

// shape is what an activation makes of its base function.
type shape struct {
	gain, scale, parameter float64
	c                      []float64 // coefficients, the last of which is not 0
	f                      Function
}

// definition returns the base function of an activation, nil for an unknown one.
func (a Activation) definition() (*definition, shape) {
	s := shape{a.gain(), a.scale(), a.Parameter, trim(a.Coefficients), a.Function}
	if a.Function != nil {
		return &custom, s
	}
	return find(a.Name), s
}

// shape is definition with special cases resolved: the simplest function that is equal.
func (a Activation) shape() (*definition, shape) {
	d, s := a.definition()
	if d != nil && d.simpler != nil {
		if e := d.simpler(s); e != nil {
			return e, s
		}
	}
	return d, s
}

// trim drops zeros at the end.
func trim(c []float64) []float64 {
	for len(c) > 0 && c[len(c)-1] == 0 {
		c = c[:len(c)-1]
	}
	return c
}
