module slipway.dev/test/gateway/crds

go 1.24

require sigs.k8s.io/gateway-api v1.6.1
