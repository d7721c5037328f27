package fluctuation

// Start is a stub.
type Start struct{}
