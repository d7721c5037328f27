// Package digits carries the digits data set inside the program: 1,797 images of 8×8 pixels with values 0 to 16, each
// followed by its class 0 to 9, as gzipped CSV. Origin and licence are in README.md beside this file.
package digits

import _ "embed"

// CSV is the gzipped file.
//
//go:embed digits.csv.gz
var CSV []byte
