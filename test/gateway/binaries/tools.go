// The version of Envoy Gateway that test:gateway runs against, for go.mod to name.
//go:build tools

package binaries

import (
	_ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
)
