package graphql

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var requestOfNobody = http.Request{Header: http.Header{}}

// FuzzRequest holds that no body makes the node panic or blame itself.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{
		`{"query":"{version{version}}"}`, `{"query":"{...f} fragment f on Query{...f}"}`, `{"query":"{a:__schema{types{fields{type{ofType{name}}}}}}"}`,
		`{"query":"query($p:Path!){read(path:$p){release{content}}}","variables":{"p":"acme/shop/prod/a.yaml"}}`,
		`{"query":"mutation($p:PublishInput!){publish(input:$p){id}}","variables":{"p":{"tenant":"acme","items":[{"path":"acme/shop/prod/a.yaml","contentBase64":"AA=="}]}}}`,
		`{"query":"query($i:[String!]!){preview(start:{paths:$i}){next}}","variables":{"i":"a"}}`,
		`{"query":"{explain(input:{path:\"acme/shop/prod/a.yaml\",labels:{a:1},time:\"x\",at:\"y\"}){text}}"}`,
		`{"query":"{configs(env:\"acme/shop/prod\",limit:-1,after:\"*\"){items{path rollout{stable{version}}}}}"}`,
		`{"query":"query q @skip(if:true){version{version} @include(if:false)}","operationName":"q"}`,
		`{"query":"subscription{watch(paths:[]){revision}}"}`, `{"query":"{validateContent(input:{path:\"a\",content:\"\\ud800\"}){message}}"}`,
		`{"query":"","extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}`, `[{"query":"{a}"}]`, `{"variables":{"a":[[[[]]]]},"query":"{a"}`, `{`, ``, "\x00",
		`{"query":"mutation{adjustLaunch(input:{id:\"x\"},change:{expiresAfter:1e309,share:99999999999}){id}}"}`,
	} {
		f.Add(body)
	}
	n := launch(f)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", jsonType)
		r.Header.Set("Authorization", "Bearer "+n.app)
		w := httptest.NewRecorder()
		n.api.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusNotImplemented || strings.Contains(w.Body.String(), `"code":"internal"`) {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
		if _, err := readAnswer(w.Body.Bytes()); err != nil {
			t.Errorf("%q: %v", body, err)
		}
	})
}
