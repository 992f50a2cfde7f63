package graphql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/center"
)

// aliases asks for a field many times.
func aliases(n int, field string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d:%s ", i, field)
	}
	return b.String()
}

// chain is fragments of which each has the next one in it so many times.
func chain(levels, times int, last string) string {
	var b strings.Builder
	for i := range levels {
		fmt.Fprintf(&b, "fragment f%d on Query{%s} ", i, strings.Repeat(fmt.Sprintf("...f%d ", i+1), times))
	}
	fmt.Fprintf(&b, "fragment f%d on Query{%s}", levels, last)
	return b.String()
}

func TestLimits(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	const env = `env:"acme/shop/prod"`
	deep := func(levels int) string {
		return `{configs(` + env + `){items{rollout{candidates{strategy{rule` + strings.Repeat("{all", levels) + "{salt:labels}" + strings.Repeat("}", levels) + `}}}}}}`
	}
	for name, c := range map[string]struct{ query, want string }{
		"few fields":              {`{` + aliases(20, "version{version}") + `}`, ""},
		"many fields":             {`{` + aliases(21, "version{version}") + `}`, "max_root_fields"},
		"many by fragments":       {`{...f ...g} fragment f on Query{` + aliases(11, "version{version}") + `} fragment g on Query{` + strings.ReplaceAll(aliases(11, "version{version}"), "a", "b") + `}`, "max_root_fields"},
		"many by one again":       {`{...f0} ` + chain(12, 2, "version{version}"), "max_root_fields"},
		"more than there are":     {`{...f0} ` + chain(60, 2, "version{version}"), "max_root_fields"},
		"deep":                    {deep(13), ""},
		"deeper":                  {deep(14), "max_depth"},
		"a long list":             {`{configs(` + env + `,limit:1000){items{path version:revision}}}`, ""},
		"long lists":              {`{` + aliases(20, `configs(`+env+`,limit:1000){items{`+aliases(30, "path")+`}}`) + `}`, "max_complexity"},
		"by a variable":           {`query($n:Int=1000){` + aliases(20, `configs(`+env+`,limit:$n){items{`+aliases(30, "path")+`}}`) + `}`, "max_complexity"},
		"lists without pages":     {`{` + aliases(12, `envs(app:"acme/shop"){freezes{`+aliases(50, "name")+`}}`) + `}`, "max_complexity"},
		"many words":              {`{version{` + aliases(1700, "version") + `}}`, "token limit"},
		"many words of a comment": {`{version{version}} #` + strings.Repeat(" a", 10_000), ""},
		"a fragment in itself":    {`{...f} fragment f on Query{version{version} ...f}`, "within itself"},
		"deep in the parser":      {strings.Repeat("{a", 20_000), "nesting depth"},
		"deep in a value":         {`{configs(env:` + strings.Repeat("[", 20_000), "nesting depth"},
	} {
		got := n.post(n.app, c.query, nil)
		refused := len(got.Errors) > 0 && got.Data == nil
		if refused != (c.want != "") || refused && !strings.Contains(got.Errors[0].Message, c.want) {
			t.Errorf("%s: want %q, got %d %.300s", name, c.want, got.status, got.body)
		}
	}
}

func TestIntrospectionCanBeOff(t *testing.T) {
	off := launch(t, func(s *Settings) { s.Introspection = false })
	for _, query := range []string{
		`{__schema{types{name}}}`, `{__type(name:"Query"){name}}`, `{...on Query{__schema{types{name}}}}`,
		`{...f} fragment f on Query{a:__type(name:"Query"){name}}`, `{version{version} __schema{types{name}}}`,
	} {
		if got := off.post(off.app, query, nil); got.code() != "unsupported" || got.Data != nil {
			t.Errorf("%s: want it to be refused, got %s", query, got.body)
		}
	}
	if got := off.post(off.app, `{__typename version{__typename}}`, nil); len(got.Errors) > 0 {
		t.Errorf("want the names of types, got %s", got.body)
	}
	for _, query := range []string{`{varsion{version}}`, `{version}`, `{config(pth:"a"){path}}`, `query($p:Pth){version{version}}`} {
		if got := off.post(off.app, query, nil); got.code() != "invalid" || strings.Contains(got.Errors[0].Message, "Did you mean") {
			t.Errorf("%s: want no names out of the schema, got %s", query, got.body)
		}
	}
	on := launch(t)
	if got := on.post(on.nobody, `{__schema{types{name}}}`, nil); len(got.Errors) > 0 {
		t.Errorf("want the schema, got %s", got.body)
	}
}

// A tool's question for the schema is within the limits.
func TestToolsGetTheSchema(t *testing.T) {
	n := launch(t)
	of := ""
	for range 9 {
		of = "ofType{kind name " + of + "}"
	}
	query := `query IntrospectionQuery{__schema{description queryType{name kind} mutationType{name kind} subscriptionType{name kind}
		types{...FullType} directives{name description isRepeatable locations args(includeDeprecated:true){...InputValue}}}}
		fragment FullType on __Type{kind name description specifiedByURL isOneOf
			fields(includeDeprecated:true){name description args(includeDeprecated:true){...InputValue} type{...TypeRef} isDeprecated deprecationReason}
			inputFields(includeDeprecated:true){...InputValue} interfaces{...TypeRef}
			enumValues(includeDeprecated:true){name description isDeprecated deprecationReason} possibleTypes{...TypeRef}}
		fragment InputValue on __InputValue{name description type{...TypeRef} defaultValue isDeprecated deprecationReason}
		fragment TypeRef on __Type{kind name ` + of + `}`
	if got := n.post(n.app, query, nil); got.status != 200 || len(got.Errors) > 0 {
		t.Errorf("want the schema, got %d %.300s", got.status, got.body)
	}
}

// Aliases cannot make an answer of any size.
func TestContentsOfAnAnswer(t *testing.T) {
	n := launch(t, func(s *Settings) { s.MaxAnswer = 1024 })
	n.publish(pathA, "a: "+strings.Repeat("x", 397))
	for name, c := range map[string]struct {
		token, query string
		fits         bool
	}{
		"a reading":        {n.app, `{read(path:"` + pathA + `"){release{content contentBase64}}}`, true},
		"a reading often":  {n.app, `{read(path:"` + pathA + `"){release{a:content b:content c:content}}}`, false},
		"in several":       {n.app, `{a:read(path:"` + pathA + `"){release{content contentBase64}} b:readEnv(env:"acme/shop/prod"){releases{content}}}`, false},
		"a release often":  {n.admins(), `{release(path:"` + pathA + `",version:1){a:content b:content c:contentBase64}}`, false},
		"an archive":       {n.admins(), `{exportEnv(env:"acme/shop/prod")}`, true},
		"several archives": {n.admins(), `{` + aliases(10, `exportEnv(env:"acme/shop/prod")`) + `}`, false},
	} {
		got := n.post(c.token, c.query, nil)
		if fits := len(got.Errors) == 0; fits != c.fits || !fits && got.code() != "too_large" {
			t.Errorf("%s: want it to fit: %t, got %.300s", name, c.fits, got.body)
		}
	}
}

// admins makes a token of the user admin.
func (n *station) admins() string {
	n.t.Helper()
	_, secret, err := n.Center.CreateToken(n.admin(), center.NewToken{})
	n.must(err)
	return secret.Reveal()
}
