package rest

import "strings"

// encoding is a content coding.
type encoding uint8

const (
	identity encoding = iota
	gzipped
	zstandard
)

// codingNames are the names that go into headers, by encoding.
var codingNames = [...]string{identity: "identity", gzipped: "gzip", zstandard: "zstd"}

// negotiate picks the coding that an Accept-Encoding header likes best. Of
// those liked equally zstd comes before gzip, and both before none. It
// allocates nothing; what it does not understand it passes over.
func negotiate(header string) encoding {
	// Weights are in thousandths; -1 means not mentioned.
	weights := [...]int{identity: -1, gzipped: -1, zstandard: -1}
	star := -1
	for header != "" {
		var item string
		item, header, _ = strings.Cut(header, ",")
		name, params, _ := strings.Cut(item, ";")
		name = strings.TrimSpace(name)
		weight, ok := quality(params)
		switch {
		case !ok:
		case name == "*":
			star = weight
		case strings.EqualFold(name, "gzip") || strings.EqualFold(name, "x-gzip"):
			weights[gzipped] = weight
		case strings.EqualFold(name, "zstd"):
			weights[zstandard] = weight
		case strings.EqualFold(name, "identity"):
			weights[identity] = weight
		}
	}
	// "anything" is taken to mean the coding that everything can read.
	if weights[gzipped] < 0 {
		weights[gzipped] = star
	}
	best := identity
	for _, e := range [...]encoding{gzipped, zstandard} {
		if weights[e] > 0 && weights[e] >= weights[best] {
			best = e
		}
	}
	return best
}

// quality reads the "q=0.5" among an item's parameters, in thousandths.
func quality(params string) (int, bool) {
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return thousandths(strings.TrimSpace(value))
		}
	}
	return 1000, true
}

// thousandths reads 0, 1 or a fraction between them with up to three digits.
func thousandths(s string) (int, bool) {
	if s == "" || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	value := int(s[0]-'0') * 1000
	for i, unit := 2, 100; i < len(s); i, unit = i+1, unit/10 {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		value += int(s[i]-'0') * unit
	}
	return value, value <= 1000
}

// etagOf returns the entity tag of content with the digest in a coding.
func etagOf(digest string, e encoding) string {
	if e == identity {
		return `"` + digest + `"`
	}
	return `"` + digest + "-" + codingNames[e] + `"`
}

// matchETag returns the tag among the If-None-Match headers that names the
// content with the digest, in whatever coding; "" if there is none. "*" is any.
func matchETag(headers []string, digest string) string {
	for _, header := range headers {
		for header != "" {
			var item string
			item, header, _ = strings.Cut(header, ",")
			item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
			if item == "*" {
				return etagOf(digest, identity)
			}
			if len(item) < 2 || item[0] != '"' || item[len(item)-1] != '"' {
				continue
			}
			rest, ok := strings.CutPrefix(item[1:len(item)-1], digest)
			if ok && (rest == "" || rest == "-gzip" || rest == "-zstd") {
				return item
			}
		}
	}
	return ""
}
