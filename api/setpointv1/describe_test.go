package setpointv1_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "github.com/setpointhq/setpoint/api/setpointv1"
)

const pkg = "setpoint.v1"

// described reads the description as it is committed, with its comments.
func described(t *testing.T) *protoregistry.Files {
	t.Helper()
	b, err := os.ReadFile("../setpoint.v1.binpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// own are the files of the package.
func own(t *testing.T, files *protoregistry.Files) []protoreflect.FileDescriptor {
	t.Helper()
	var all []protoreflect.FileDescriptor
	files.RangeFilesByPackage(pkg, func(f protoreflect.FileDescriptor) bool {
		all = append(all, f)
		return true
	})
	if len(all) == 0 {
		t.Fatalf("want files of the package %s", pkg)
	}
	return all
}

// walk visits everything that a file declares.
func walk(f protoreflect.FileDescriptor, visit func(protoreflect.Descriptor)) {
	var messages func(protoreflect.MessageDescriptors)
	enums := func(all protoreflect.EnumDescriptors) {
		for i := range all.Len() {
			visit(all.Get(i))
			for j := range all.Get(i).Values().Len() {
				visit(all.Get(i).Values().Get(j))
			}
		}
	}
	messages = func(all protoreflect.MessageDescriptors) {
		for i := range all.Len() {
			m := all.Get(i)
			if m.IsMapEntry() {
				continue
			}
			visit(m)
			for j := range m.Fields().Len() {
				visit(m.Fields().Get(j))
			}
			for j := range m.Oneofs().Len() {
				if o := m.Oneofs().Get(j); !o.IsSynthetic() {
					visit(o)
				}
			}
			enums(m.Enums())
			messages(m.Messages())
		}
	}
	enums(f.Enums())
	messages(f.Messages())
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		visit(s)
		for j := range s.Methods().Len() {
			visit(s.Methods().Get(j))
		}
	}
}

func TestEverythingIsDocumented(t *testing.T) {
	for _, f := range own(t, described(t)) {
		walk(f, func(d protoreflect.Descriptor) {
			comment := strings.TrimSpace(f.SourceLocations().ByDescriptor(d).LeadingComments)
			// A sentence, not a keyword; for "TODO" and the like there is no place.
			if !strings.HasSuffix(comment, ".") && !strings.HasSuffix(comment, ":") {
				t.Errorf("%s: want a comment of whole sentences, got %q", d.FullName(), comment)
			}
		})
	}
}

func TestZeroOfEveryEnumIsUnspecified(t *testing.T) {
	for _, f := range own(t, protoregistry.GlobalFiles) {
		walk(f, func(d protoreflect.Descriptor) {
			e, ok := d.(protoreflect.EnumDescriptor)
			if !ok {
				return
			}
			want := enumValue(e, "unspecified")
			if zero := e.Values().ByNumber(0); zero == nil || zero.Name() != want {
				t.Errorf("%s: want 0 to be %s, got %v", e.FullName(), want, zero)
			}
		})
	}
}

// What users load into their tools is what the code was made of.
func TestCommittedDescriptionIsThatOfTheCode(t *testing.T) {
	for _, f := range own(t, described(t)) {
		compiled, err := protoregistry.GlobalFiles.FindFileByPath(f.Path())
		if err != nil {
			t.Errorf("%s: %v", f.Path(), err)
			continue
		}
		want, got := protodesc.ToFileDescriptorProto(compiled), protodesc.ToFileDescriptorProto(f)
		got.SourceCodeInfo = nil
		if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
			t.Errorf("%s (-code +description):\n%s", f.Path(), d)
		}
	}
}

// A field named by a word that some language keeps for itself is one that people
// cannot write there.
func TestNoFieldIsNamedByAKeyword(t *testing.T) {
	keywords := strings.Fields("and as assert async await break case class const continue def default defer del do else end " +
		"except export extends false finally fn for foreach from func function global go goto if implements import in interface is lambda let " +
		"match module mut namespace new nil none nonlocal not null object or package pass raise return select self static struct super " +
		"switch then this throw trait true try type typeof use using var void when where while with yield")
	for _, f := range own(t, protoregistry.GlobalFiles) {
		walk(f, func(d protoreflect.Descriptor) {
			if field, ok := d.(protoreflect.FieldDescriptor); ok && slices.Contains(keywords, string(field.Name())) {
				t.Errorf("%s: want a name that every language can write", field.FullName())
			}
		})
	}
}

// Secrets are marked, for whatever prints messages in whatever language.
func TestSecretsAreMarked(t *testing.T) {
	secrets := map[protoreflect.Name]bool{"password": true, "secret": true, "old_password": true, "new_password": true}
	marked := 0
	for _, f := range own(t, protoregistry.GlobalFiles) {
		walk(f, func(d protoreflect.Descriptor) {
			field, ok := d.(protoreflect.FieldDescriptor)
			if !ok || field.Kind() != protoreflect.StringKind {
				return
			}
			redacted := field.Options().(*descriptorpb.FieldOptions).GetDebugRedact()
			if want := secrets[field.Name()]; want != redacted {
				t.Errorf("%s: want debug_redact %t, got %t", field.FullName(), want, redacted)
			} else if want {
				marked++
			}
		})
	}
	if marked == 0 {
		t.Error("want some secret to be marked")
	}
}
