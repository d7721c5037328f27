package figure_test

import (
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// A curve with a band on a logarithmic axis.
func ExampleFigure_Render() {
	s := figure.Series{Label: "loss", Color: figure.Color(1)}
	for t := range 50 {
		y := math.Exp(-float64(t) / 10)
		s.X, s.Y = append(s.X, float64(t)), append(s.Y, y)
		s.Lo, s.Hi = append(s.Lo, 0.9*y), append(s.Hi, 1.1*y)
	}
	fig := figure.Figure{Title: "decay", Panels: []figure.Panel{{X: figure.Axis{Label: "step"},
		Y: figure.Axis{Label: "loss", Log: true}, Series: []figure.Series{s}}}}
	svg, err := fig.Render("svg") // Save writes files
	fmt.Println(string(svg[:5]), err)
	// Output: <?xml <nil>
}
