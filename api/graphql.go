package api

import "embed"

// GraphQL is the schema of the GraphQL interface: all files of graphql/, which
// belong together.
//
//go:embed graphql/*.graphql
var GraphQL embed.FS
