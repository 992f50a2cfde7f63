package interop

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// TestReflection does everything with what the server tells of itself, on the
// port that gRPC has of its own, and on the HTTP port.
func TestReflection(t *testing.T) {
	n := newNode(t, "rest,grpc")
	described := readDescription(t)
	for name, addr := range map[string]string{"own port": n.grpc, "HTTP port": n.addr} {
		t.Run(name, func(t *testing.T) {
			n := *n
			n.TB = t
			s := meet(&n, addr)
			describes(s, described)
			walk(s, n.password.Reveal(), strings.ReplaceAll(name, " ", "-"))
		})
	}
}

// readDescription reads the description of the interface that is in this repository.
func readDescription(t *testing.T) *descriptorpb.FileDescriptorSet {
	t.Helper()
	text, err := os.ReadFile("../../api/setpoint.v1.binpb")
	if err != nil {
		t.Fatal(err)
	}
	all := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(text, all); err != nil {
		t.Fatal(err)
	}
	return all
}

// describes looks whether the server describes what this repository does.
func describes(s *stranger, all *descriptorpb.FileDescriptorSet) {
	s.Helper()
	var want []string
	for _, file := range all.GetFile() {
		if !strings.HasPrefix(file.GetName(), "setpoint/") {
			continue
		}
		for _, service := range file.GetService() {
			want = append(want, file.GetPackage()+"."+service.GetName())
		}
		file.SourceCodeInfo = nil // comments are not in what programs carry along
		i := slices.IndexFunc(s.sent, func(f *descriptorpb.FileDescriptorProto) bool { return f.GetName() == file.GetName() })
		if i < 0 || !proto.Equal(file, s.sent[i]) {
			s.Errorf("the server describes %s otherwise than api/proto does", file.GetName())
		}
	}
	want = append(want, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
	slices.Sort(want)
	if diff := cmp.Diff(want, s.services); diff != "" {
		s.Errorf("services (-want +got):\n%s", diff)
	}
	if m := s.method("setpoint.v1.DataService/Watch"); !m.IsStreamingClient() || !m.IsStreamingServer() {
		s.Error("Watch is not described as a call in which both sides go on")
	}
}

// walk logs in, releases, reads and watches a config of its own.
func walk(s *stranger, password, name string) {
	s.Helper()
	path := shop + "/" + name + ".json"
	s.want(s.call("grpc.health.v1.Health/Check", `{"service": "setpoint.v1.DataService"}`), "status", "SERVING")

	secret, err := json.Marshal(password)
	if err != nil {
		s.Fatal(err)
	}
	session := s.call("setpoint.v1.IdentityService/Login", `{"username": "admin", "password": `+string(secret)+`}`)
	token, _ := at(s, session, "secret").(string)
	s.bearer(token)
	s.want(s.call("setpoint.v1.IdentityService/WhoAmI", `{}`), "user", "admin")

	published := s.call("setpoint.v1.ReleaseService/Publish", publishing(path, `{"n": 1}`))
	s.want(published, "changeSet.items.0.version", "1")
	read := s.call("setpoint.v1.DataService/ReadConfig", `{"path": "`+path+`"}`)
	s.want(read, "config.content", encoded(`{"n": 1}`))
	s.want(read, "config.format", "json")
	refused(s, path)

	watch := s.converse("setpoint.v1.DataService/Watch")
	watch.say(`{"hello": {"client": {"id": "` + name + `"}}}`)
	watch.say(`{"subscribe": {"id": 7, "patterns": ["` + path + `"]}}`)
	if welcome := watch.hear(); at(s, welcome, "welcome.retryAfter") == nil {
		s.Errorf("want a welcome, got %s", welcome)
	}
	snapshot := watch.hear()
	s.want(snapshot, "subscriptionId", 7.0)
	s.want(snapshot, "changes.reset", true)
	s.want(snapshot, "changes.served.0.content", encoded(`{"n": 1}`))
	s.call("setpoint.v1.ReleaseService/Publish", publishing(path, `{"n": 2}`))
	change := watch.hear()
	for at(s, change, "changes.served") == nil { // what says that all is current
		change = watch.hear()
	}
	s.want(change, "changes.served.0.version", "2")
	s.want(change, "changes.served.0.content", encoded(`{"n": 2}`))
}

// refused publishes what must be refused, and reads why from the details.
func refused(s *stranger, path string) {
	s.Helper()
	_, err := s.try("setpoint.v1.ReleaseService/Publish", publishing(path, "{\n  \"n\": oops\n}"))
	got := status.Convert(err)
	if got.Code() != codes.InvalidArgument {
		s.Fatalf("want %s, got %v", codes.InvalidArgument, err)
	}
	var kinds []string
	for _, detail := range got.Proto().GetDetails() {
		text := s.json(detail)
		kind, _ := at(s, text, "@type").(string)
		kinds = append(kinds, kind)
		switch kind {
		case "type.googleapis.com/google.rpc.ErrorInfo":
			s.want(text, "reason", "invalid")
			s.want(text, "domain", "setpoint.dev")
		case "type.googleapis.com/setpoint.v1.ErrorDetail":
			s.want(text, "kind", "ERROR_KIND_INVALID")
			s.want(text, "problems.0.line", 2.0)
		}
	}
	want := []string{"type.googleapis.com/google.rpc.ErrorInfo", "type.googleapis.com/setpoint.v1.ErrorDetail"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		s.Errorf("details (-want +got):\n%s", diff)
	}
}

func publishing(path, content string) string {
	return `{"tenant": "acme", "items": [{"path": "` + path + `", "content": "` + encoded(content) + `"}]}`
}

// encoded is how JSON has bytes.
func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// want compares one place of a JSON text.
func (s *stranger) want(text, place string, want any) {
	s.Helper()
	if diff := cmp.Diff(want, at(s, text, place)); diff != "" {
		s.Errorf("%s of %s (-want +got):\n%s", place, text, diff)
	}
}
