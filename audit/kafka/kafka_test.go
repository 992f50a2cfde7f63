package kafka_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/audittest"
	"github.com/setpointhq/setpoint/audit/kafka"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "setpoint-audit"

// fake is no Kafka: it is kfake, which speaks Kafka's protocol over real
// connections but keeps its topics in memory and replicates nothing. These tests
// prove what goes over the wire, not that a broker keeps it.
type fake struct {
	*kfake.Cluster
	certificate audittest.Certificate

	mu     sync.Mutex
	broken bool
	hang   chan struct{} // not nil: closed by the next produce request, which is not answered
	goOn   chan struct{}
}

func start(t *testing.T) *fake {
	t.Helper()
	f := &fake{certificate: audittest.NewCertificate(t), goOn: make(chan struct{})}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(3), kfake.SeedTopics(3, topic), kfake.EnableSASL(),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{f.certificate.Pair}}),
		kfake.Superuser("PLAIN", "setpoint", "the password"), kfake.Superuser("SCRAM-SHA-256", "setpoint", "the password"),
	)
	if err != nil {
		t.Fatal(err)
	}
	f.Cluster = cluster
	t.Cleanup(func() {
		close(f.goOn)
		cluster.Close()
	})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		f.mu.Lock()
		broken, hang := f.broken, f.hang
		f.hang = nil
		f.mu.Unlock()
		if hang != nil {
			close(hang)
			<-f.goOn
		}
		return nil, errors.New("broken"), broken || hang != nil
	})
	return f
}

func (f *fake) breaks(broken bool) func(*testing.T) {
	return func(*testing.T) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.broken = broken
	}
}

func (f *fake) settings() *kafka.Settings {
	var s kafka.Settings
	s.Defaults()
	s.Brokers, s.Topic, s.TLS.CAFile = f.ListenAddrs(), topic, f.certificate.CertFile
	s.SASL = kafka.SASL{Mechanism: "scram-sha-256", Username: "setpoint", Password: config.NewSecret("the password")}
	return &s
}

// consume reads the topic from its beginning until it has so many records.
func (f *fake) consume(t *testing.T, atLeast int) []*kgo.Record {
	t.Helper()
	s := f.settings()
	c, err := s.TLS.Config("")
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.Brokers...), kgo.DialTLSConfig(c), kgo.SASL(plain.Auth{User: s.SASL.Username, Pass: s.SASL.Password.Reveal()}.AsMechanism()),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all []*kgo.Record
	for different := map[string]bool{}; len(different) < atLeast; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			all = append(all, r)
			different[string(r.Headers[0].Value)] = true
		}
	}
	return all
}

func open(t *testing.T, s *kafka.Settings) audit.Sink {
	t.Helper()
	sink, err := s.Open(t.Context(), audit.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func TestConformance(t *testing.T) {
	audittest.Sink(t, func(t *testing.T) audittest.Peer {
		f := start(t)
		s := f.settings()
		s.Timeout = time.Second // a broker that breaks connections is tried again until then
		return audittest.Peer{
			Sink: open(t, s),
			Arrived: func(t *testing.T, atLeast int) []audit.Record {
				var all []audit.Record
				for _, r := range f.consume(t, atLeast) {
					all = append(all, audittest.Decode(t, r.Value))
				}
				return all
			},
			Reopen: func(t *testing.T) audit.Sink { return open(t, s) },
			Break:  f.breaks(true), Mend: f.breaks(false),
			Hang: func(*testing.T) <-chan struct{} {
				f.mu.Lock()
				defer f.mu.Unlock()
				reached := make(chan struct{})
				f.hang = reached
				return reached
			},
		}
	})
}

func TestATenantStaysInOrder(t *testing.T) {
	f := start(t)
	s := f.settings()
	s.SASL.Mechanism = "plain"
	records, want := audittest.Records(1, 60), map[string][]string{}
	for i := range records {
		tenant := []string{"acme", "globex", "initech", "hooli", ""}[i%5]
		records[i].Path.Tenant = tenant
		want[tenant] = append(want[tenant], records[i].ID)
	}
	if err := open(t, s).Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, r := range f.consume(t, 60) {
		got[string(r.Key)] = append(got[string(r.Key)], string(r.Headers[0].Value))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestARecordThatIsTooLargeIsLeftOut(t *testing.T) {
	f := start(t)
	records := audittest.Records(1, 3)
	noise := make([]byte, 3_000_000)
	for i, state := 0, uint32(1); i < len(noise); i++ { // what compression does not make small
		state = state*1664525 + 1013904223
		noise[i] = '0' + byte(state>>24)%64
	}
	records[1].Comment = string(noise)
	err := open(t, f.settings()).Write(t.Context(), records)
	if err == nil || config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), records[1].ID) {
		t.Errorf("want record %s named, got %v", records[1].ID, err)
	}
	if want, got := 2, len(f.consume(t, 2)); want != got {
		t.Errorf("want %d records, got %d", want, got)
	}
}

func TestWhatIsWrongWithThePeerIsTriedAgain(t *testing.T) {
	f := start(t)
	for name, change := range map[string]func(*kafka.Settings){
		"a wrong password":     func(s *kafka.Settings) { s.SASL.Password = config.NewSecret("another") },
		"an unknown authority": func(s *kafka.Settings) { s.TLS.CAFile = "" },
		"a missing topic":      func(s *kafka.Settings) { s.Topic = "missing" },
		"nobody there":         func(s *kafka.Settings) { s.Brokers = []string{"127.0.0.1:1"} },
	} {
		t.Run(name, func(t *testing.T) {
			s := f.settings()
			s.Timeout = time.Second
			change(s)
			err := open(t, s).Write(t.Context(), audittest.Records(1, 1))
			if kind := config.KindOf(err); err == nil || kind != config.Unavailable && kind != config.Timeout {
				t.Errorf("want it unavailable, got %v", err)
			}
		})
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*kafka.Settings)
	}{
		{"audit.kafka.brokers", func(s *kafka.Settings) { s.Brokers = nil }},
		{"audit.kafka.brokers", func(s *kafka.Settings) { s.Brokers = []string{"host"} }},
		{"audit.kafka.topic", func(s *kafka.Settings) { s.Topic = "a b" }},
		{"audit.kafka.network", func(s *kafka.Settings) { s.Network = "udp" }},
		{"audit.kafka.timeout", func(s *kafka.Settings) { s.Timeout = 0 }},
		{"audit.kafka.max_message", func(s *kafka.Settings) { s.MaxMessage = 1 }},
		{"audit.kafka.sasl.mechanism", func(s *kafka.Settings) { s.SASL.Username = "ann" }},
		{"audit.kafka.sasl.mechanism", func(s *kafka.Settings) { s.SASL.Mechanism = "gssapi" }},
		{"audit.kafka.sasl.mechanism", func(s *kafka.Settings) {
			s.Network, s.SASL = "tcp", kafka.SASL{Mechanism: "plain", Username: "ann", PasswordFile: "x"}
		}},
		{"audit.kafka.sasl.username", func(s *kafka.Settings) { s.SASL.Mechanism = "scram-sha-512" }},
		{"audit.kafka.sasl.password", func(s *kafka.Settings) { s.SASL.Mechanism = "scram-sha-512" }},
		{"audit.kafka.sasl.password_file", func(s *kafka.Settings) {
			s.SASL = kafka.SASL{Mechanism: "scram-sha-512", Username: "ann", PasswordFile: "missing"}
		}},
		{"audit.kafka.tls.cert_file", func(s *kafka.Settings) { s.TLS.KeyFile = "key.pem" }},
	} {
		t.Run(tc.want, func(t *testing.T) {
			var s kafka.Settings
			s.Defaults()
			s.Brokers = []string{"kafka.example:9093"}
			if err := s.Validate(); err != nil {
				t.Fatalf("defaults: %v", err)
			}
			tc.change(&s)
			_, err := s.Open(t.Context(), audit.Env{})
			if err == nil || config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an invalid %s, got %v", tc.want, err)
			}
		})
	}
}
