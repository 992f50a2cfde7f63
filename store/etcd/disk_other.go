//go:build !linux && !darwin && !freebsd

package etcd

import "errors"

// diskFree is not known on this system.
func diskFree(string) (int64, error) { return 0, errors.ErrUnsupported }
