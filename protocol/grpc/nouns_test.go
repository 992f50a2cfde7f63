package grpc

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/audit"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// filler fills nouns, each field with something else.
type filler struct{ n int }

// Fields of the domain that are of a closed set, by their types.
var filledWords = map[reflect.Type]string{
	reflect.TypeFor[config.Kind](): "flag", reflect.TypeFor[config.SourceKind](): "promotion", reflect.TypeFor[config.Severity](): "warning",
	reflect.TypeFor[config.StrategyKind](): "blue-green", reflect.TypeFor[config.LaunchState](): "fallen-back",
	reflect.TypeFor[config.Reason](): "target", reflect.TypeFor[config.AckState](): "refused", reflect.TypeFor[config.Role](): "learner",
	reflect.TypeFor[audit.Outcome](): "denied", reflect.TypeFor[audit.FindingKind](): "reordered",
}

func (f *filler) fill(v reflect.Value, depth int) {
	f.n++
	if word, is := filledWords[v.Type()]; is {
		v.SetString(word)
		return
	}
	switch noun := v.Addr().Interface().(type) {
	case *config.Path:
		*noun = config.Path{Tenant: fmt.Sprint("t", f.n), App: "a", Env: "e", Name: "n"}
		return
	case *time.Time:
		*noun = time.Unix(int64(f.n)*1e6, 5).UTC()
		return
	case *config.Seconds:
		*noun = config.Seconds(f.n) + 0.5
		return
	case *config.Selector:
		*noun = config.Selector{{Key: fmt.Sprint("k", f.n), Operator: config.OpEqual, Values: []string{"v"}}}
		return
	case *config.Network:
		*noun, _ = config.ParseNetwork(fmt.Sprintf("10.0.%d.0/24", f.n%250))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if t := v.Type().Field(i); t.IsExported() {
				f.fill(v.Field(i), depth)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), depth)
	case reflect.Slice:
		if v.Type().Elem() == reflect.TypeFor[config.Rule]() && depth > 1 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{fmt.Sprint("k", f.n): "v"}))
	case reflect.String:
		v.SetString(fmt.Sprint("text", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(f.n % 250))
	case reflect.Float64:
		v.SetFloat(float64(f.n))
	default:
		v.SetInt(int64(f.n))
	}
}

// Every field of a noun arrives, in the field of its name.
func TestNounsArriveWhole(t *testing.T) {
	carries := func(name string, test func(*testing.T)) { t.Run(name, test) }
	carries("tenant", arrives(tenantOf))
	carries("app", arrives(appOf))
	carries("env", arrives(envOf))
	carries("problem", arrives(problemOf))
	carries("state", arrives(stateOf))
	carries("draft", arrives(draftOf))
	carries("release", arrives(releaseOf))
	carries("rollout", arrives(func(r config.Rollout) *setpointv1.Rollout { return rolloutOf(&r) }))
	carries("launch", arrives(launchOf))
	carries("instance", arrives(instanceOf))
	carries("version count", arrives(versionCountOf))
	carries("explanation", arrives(explanationOf))
	carries("explained launch", arrives(explainedLaunchOf))
	carries("preview count", arrives(previewCountOf))
	carries("preview instance", arrives(previewInstanceOf))
	carries("grant", arrives(grantOf))
	carries("user", arrives(userOf, "PasswordHash"))
	carries("token", arrives(tokenOf, "SecretHash", "RenewAt", "RenewBy", "Renewal"))
	carries("role", arrives(roleOf))
	carries("binding", arrives(bindingOf))
	carries("record", arrives(recordOf))
	carries("seal", arrives(sealOf))
	carries("finding", arrives(auditFindingOf))
	carries("node", arrives(nodeOf))
	carries("join token", arrives(joinTokenOf))
	carries("change set", arrives(func(s config.ChangeSet) *setpointv1.ChangeSet {
		s.Action = string(config.SourceRollback)
		return changeSetOf(s)
	}, "Action"))
	carries("tenant import", arrives(tenantImportOf))
}

func arrives[T any, M proto.Message](render func(T) M, but ...string) func(*testing.T) {
	return func(t *testing.T) {
		var want T
		(&filler{}).fill(reflect.ValueOf(&want).Elem(), 0)
		b, err := proto.Marshal(render(want))
		if err != nil {
			t.Fatal(err)
		}
		m := render(want).ProtoReflect().New().Interface()
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatal(err)
		}
		got := read[T](m)
		ignored := cmp.FilterPath(func(p cmp.Path) bool {
			for _, name := range but {
				if p.Last().String() == "."+name {
					return true
				}
			}
			return false
		}, cmp.Ignore())
		if d := cmp.Diff(want, got, ignored, cmpopts.EquateApproxTime(0)); d != "" {
			t.Errorf("(-sent +arrived):\n%s", d)
		}
	}
}

// What a client sends of a rollout is what the domain is asked for.
func TestRolloutsAreReadAsTheyAreWritten(t *testing.T) {
	var strategy config.Strategy
	var gate config.Gate
	f := &filler{}
	f.fill(reflect.ValueOf(&strategy).Elem(), 0)
	f.fill(reflect.ValueOf(&gate).Elem(), 0)
	strategy.Targets = config.NewInstanceSet(strategy.Targets...)
	var q asked
	if d := cmp.Diff(strategy, q.strategy("strategy", strategyOf(&strategy))); d != "" || q.err != nil {
		t.Errorf("%v (-sent +arrived):\n%s", q.err, d)
	}
	if d := cmp.Diff(&gate, q.gate("gate", gateOf(&gate))); d != "" || q.err != nil {
		t.Errorf("%v (-sent +arrived):\n%s", q.err, d)
	}
	options := center.ReleaseOptions{
		Launch:   &center.LaunchOptions{Strategy: strategy, Gate: &gate, ExpiresAfter: 12.5},
		BeginsAt: time.Unix(1e9, 0).UTC(), OnRunning: center.AfterRunning, OverrideFreeze: true,
	}
	if d := cmp.Diff(options, q.options("options", optionsOf(options))); d != "" || q.err != nil {
		t.Errorf("%v (-sent +arrived):\n%s", q.err, d)
	}
	var freeze config.Freeze
	f.fill(reflect.ValueOf(&freeze).Elem(), 0)
	if d := cmp.Diff(freeze, q.freeze("freeze", freezeOf(freeze))); d != "" || q.err != nil {
		t.Errorf("%v (-sent +arrived):\n%s", q.err, d)
	}
}

// Each value of an enum has its word, and there is no word without a value.
func TestEveryEnumHasItsWords(t *testing.T) {
	checkWords(t, severityWords)
	checkWords(t, configKindWords)
	checkWords(t, sourceKindWords)
	checkWords(t, onRunningWords)
	checkWords(t, launchStateWords)
	checkWords(t, launchChangeWords)
	checkWords(t, strategyKindWords)
	checkWords(t, ackStateWords)
	checkWords(t, instanceStateWords)
	checkWords(t, reasonWords)
	checkWords(t, diffOpWords)
	checkWords(t, valueKindWords)
	checkWords(t, archiveFormatWords)
	checkWords(t, nodeRoleWords)
	checkWords(t, outcomeWords)
	checkWords(t, findingKindWords)
	checkWords(t, consistencyWords)
}

func checkWords[E interface {
	~int32
	protoreflect.Enum
}, W ~string](t *testing.T, table words[E, W]) {
	t.Helper()
	var zero E
	values := zero.Descriptor().Values()
	if want := values.Len() - 1; len(table) != want {
		t.Errorf("%s: want %d words, got %d", zero.Descriptor().Name(), want, len(table))
	}
	for i := range values.Len() {
		e := E(values.Get(i).Number())
		var q asked
		got := word(&q, "field", table, e)
		if want := wordOf(zero.Descriptor(), e.Number()); string(got) != want || q.err != nil {
			t.Errorf("%s: want %q, got %q, %v", values.Get(i).Name(), want, got, q.err)
		}
		if back := table.of(got); back != e {
			t.Errorf("%s: want it to come back, got %d", values.Get(i).Name(), back)
		}
	}
	var q asked
	if word(&q, "field", table, E(4711)); config.KindOf(q.err) != config.Invalid {
		t.Errorf("%s: want an unknown value to be refused, got %v", zero.Descriptor().Name(), q.err)
	}
}

// What is put together from parts is what the library would have made.
func TestPartsMakeTheDescribedMessages(t *testing.T) {
	for field, name := range map[protowire.Number]string{
		fieldSubscription: "WatchResponse.subscription_id", fieldRemoved: "WatchChanges.removed", fieldPartial: "WatchChanges.partial",
	} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("setpoint.v1." + name))
		if err != nil || d.(protoreflect.FieldDescriptor).Number() != field {
			t.Errorf("%s: want field %d, got %v, %v", name, field, d, err)
		}
	}
	for _, size := range []int{0, 1, smallPart - 1, smallPart, 100_000} {
		served := servedOf(&config.Release{Path: prod.Join("a.json"), Version: 3, Format: "json", Digest: "d", Size: int64(size), Time: time.Unix(1e9, 7)})
		served.Content = make([]byte, size)
		part, err := proto.Marshal(served)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []uint32{0, 1, 1 << 31} {
			c := changes{revision: "2s.k3j9", reset: true, current: size > 0, partial: size == 0}
			c.add(prod.Join("a.json"), part)
			c.add(prod.Join("a.json"), part)
			c.add(prod.Join("b.json"), nil)
			m, length := c.encode(id)
			want := &setpointv1.WatchResponse{SubscriptionId: id, Event: &setpointv1.WatchResponse_Changes{Changes: &setpointv1.WatchChanges{
				Revision: "2s.k3j9", Reset_: true, Current: size > 0, Partial: size == 0,
				Served: []*setpointv1.ServedConfig{served, served}, Removed: []string{"acme/shop/prod/b.json"},
			}}}
			got := &setpointv1.WatchResponse{}
			b := m.parts.Materialize()
			if err := proto.Unmarshal(b, got); err != nil || len(b) != length {
				t.Fatalf("want %d bytes, got %d, %v", length, len(b), err)
			}
			if !proto.Equal(want, got) { // cmp.Diff takes seconds for large contents
				t.Errorf("%d bytes, subscription %d: want %.300v, got %.300v", size, id, want, got)
			}
		}
	}
}

func TestAllNounsOfReadsAreEncoded(t *testing.T) {
	var r config.Release
	(&filler{}).fill(reflect.ValueOf(&r).Elem(), 0)
	b, err := encodeServed(t.Context(), &r, fragment.ChangeOnly, nil)
	got := &setpointv1.ServedConfig{}
	if err != nil || proto.Unmarshal(b, got) != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(servedOf(&r), got, protocmp.Transform()); d != "" || got.GetTime().AsTime() != r.Time || len(got.GetContent()) != 0 {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Text that is no UTF-8 must not keep an answer from being sent.
func TestTextsAreMended(t *testing.T) {
	bad := config.Instance{ID: "a\xff", Labels: map[string]string{"k\xff": "v\xfe", "ok": "ok"}, Watches: []string{"\xff"}, Holds: []config.Holding{{Why: "w\xff"}}}
	b, err := marshal(&setpointv1.ListInstancesResponse{Instances: []*setpointv1.Instance{instanceOf(bad)}})
	got := &setpointv1.ListInstancesResponse{}
	if err != nil || proto.Unmarshal(b, got) != nil {
		t.Fatal(err)
	}
	i := got.GetInstances()[0]
	if i.GetId() != "a\uFFFD" || i.GetLabels()["k\uFFFD"] != "v\uFFFD" || i.GetLabels()["ok"] != "ok" || i.GetHolds()[0].GetWhy() != "w\uFFFD" || i.GetWatches()[0] != "\uFFFD" {
		t.Errorf("want mended texts, got %v", i)
	}
}
