package graphql

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

// What is read of a message is all of it, and what is refused is said to be, in few
// words.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`{"type":"connection_init","payload":{"token":"t","instance":"i","labels":{"a":"b"},"slot":"s"}}`,
		`{"type":"connection_init","payload":{"basic":{"username":"u","password":"p"}}}`,
		`{"type":"connection_init","payload":{"authorization":"Basic dTpw"}}`, `{"type":"connection_init","payload":null}`,
		`{"type":"ping"}`, `{"type":"pong","payload":{}}`, `{"type":"complete","id":"\u00e9\u0001"}`,
		`{"id":"1","type":"subscribe","payload":{"query":"{a}","operationName":null,"variables":{"n":1.50},"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}}`,
		`{"type":"next","id":"1"}`, `{"type":"\ud800"}`, `{"type":"ping","type":"ping"}`, `[]`, `null`, ``, `{"type":{}}`, "\xff", `{"type":"ping","payload":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		refused := func(err error) {
			if kind := config.KindOf(err); kind != config.Invalid && kind != config.Unauthenticated || len(err.Error()) > 2000 || len(reason(err.Error())) > 123 {
				t.Errorf("want it refused in few words, got %v", err)
			}
		}
		m, err := decodeMessage(data)
		if err != nil {
			refused(err)
			return
		}
		if !json.Valid(data) || (m.Type == typeSubscribe || m.Type == typeComplete) && (m.ID == "" || len(m.ID) > longestID) {
			t.Errorf("took %q", data)
		}
		again, err := decodeMessage(encode(m))
		if m.Payload != nil { // whose spaces are as they may be
			var was, is any
			if json.Unmarshal(m.Payload, &was) != nil || json.Unmarshal(again.Payload, &is) != nil || !cmp.Equal(was, is) {
				t.Errorf("the payload is %s, and then %s", m.Payload, again.Payload)
			}
		}
		if m.Payload, again.Payload = nil, nil; err != nil || !cmp.Equal(m, again) {
			t.Errorf("not the same when written again: %+v, %+v %v", m, again, err)
		}
		if m, _ := decodeMessage(data); m.Type == typeInit {
			if _, err := readInit(m.Payload, "127.0.0.1"); err != nil {
				refused(err)
			}
		}
	})
}
