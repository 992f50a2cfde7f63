package rest

import (
	"errors"
	"net/http"
	"strings"
)

// maxPath is the longest path that can name anything, with room to spare.
const maxPath = 1024

// guardPath refuses paths that could mean something else than they seem to:
// they end here, in a clear answer, instead of being cleaned or redirected.
func guardPath(r *http.Request) error {
	raw, path := r.URL.EscapedPath(), r.URL.Path
	switch {
	case len(raw) > maxPath:
		return refuse(http.StatusBadRequest, errors.New("the path is longer than any that names something"))
	case !strings.HasPrefix(path, "/"):
		return refuse(http.StatusBadRequest, errors.New("the request names no path"))
	case strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' || c == '\uFFFD' }):
		return refuse(http.StatusBadRequest, errors.New("the path has a control character, a backslash or bytes that are no UTF-8 in it"))
	case hasEncodedSlash(raw):
		return refuse(http.StatusBadRequest, errors.New("the path has an encoded slash in it; no name has one"))
	case hasOddPart(path):
		return refuse(http.StatusBadRequest, errors.New("the path has an empty, '.' or '..' part"))
	}
	return nil
}

func hasEncodedSlash(raw string) bool {
	for i := 0; i+2 < len(raw); i++ {
		if raw[i] == '%' && (raw[i+1] == '2' && raw[i+2]|0x20 == 'f') {
			return true
		}
	}
	return false
}

// hasOddPart looks for parts that mean "here", "above" or nothing. A final
// slash is left to the router, which knows no path with one.
func hasOddPart(path string) bool {
	for rest, more := path[1:], true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if part == "." || part == ".." || part == "" && more {
			return true
		}
	}
	return false
}
