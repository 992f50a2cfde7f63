package socket

import "testing"

func TestOffersOfCompression(t *testing.T) {
	for header, want := range map[string]bool{
		"":                   false,
		"permessage-deflate": true,
		"permessage-deflate; client_max_window_bits":                               true,
		"permessage-deflate;client_no_context_takeover;server_no_context_takeover": true,
		"permessage-deflate; server_max_window_bits=10":                            false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":        true,
		"permessage-deflate; server_max_window_bits=\"15\"":                        true,
		"permessage-deflate; unheard_of":                                           false,
		"x-webkit-deflate-frame":                                                   false,
	} {
		if got := offersDeflate([]string{header}); got != want {
			t.Errorf("%s: want %v, got %v", header, want, got)
		}
	}
}
