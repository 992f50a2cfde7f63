// Package hostile attacks the built binary over every protocol, in every way by
// which a client can be broken or malicious, while others use it as they should
// and must not notice.
package hostile
