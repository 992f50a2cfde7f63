package center

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// auditID orders records by time; the random half keeps two of one nanosecond apart.
func auditID(now time.Time) string {
	var random [8]byte
	rand.Read(random[:])
	return fmt.Sprintf("%016x%s", now.UnixNano(), hex.EncodeToString(random[:]))
}

func actorOf(ctx context.Context) audit.Actor {
	id, request := auth.FromContext(ctx), auth.RequestFrom(ctx)
	return audit.Actor{
		Subject: id.Subject, Method: id.Method, TokenID: id.TokenID,
		Address: request.Address, RequestID: request.ID,
	}
}

// audited completes a record and returns the write that goes into the same
// transaction as the change it tells of.
func (c *Center) audited(ctx context.Context, r audit.Record) store.Write {
	if r.Time.IsZero() {
		r.Time = c.now().UTC()
	}
	if r.ID == "" {
		r.ID = auditID(r.Time)
	}
	if r.Outcome == "" {
		r.Outcome = audit.Done
	}
	if r.Actor == (audit.Actor{}) {
		r.Actor = actorOf(ctx)
	}
	return store.Write{Key: record.AuditKey(r.Path.Tenant, r.ID), Value: record.Encode(r)}
}

// AuditRequest selects audit records.
type AuditRequest struct {
	PageRequest
	Tenant       string      // empty: the installation's own records (users, logins)
	Action       string      // empty: all
	Actor        string      // empty: all
	Path         config.Path // records of this path and below
	Since, Until time.Time
}

// auditScan bounds how many records one call reads to fill a page.
const auditScan = 10_000

// Audit lists audit records, the newest first. With filters a page may come back
// short, even empty, and still name a next one.
func (c *Center) Audit(ctx context.Context, r AuditRequest) (config.Page[audit.Record], error) {
	const op = "audit.list"
	scope := config.Path{Tenant: r.Tenant}
	if _, err := c.authorize(ctx, op, auth.ReadAudit, scope); err != nil {
		return config.Page[audit.Record]{}, err
	}
	if _, _, err := c.importUnderWay(ctx, r.Tenant); err != nil {
		return config.Page[audit.Record]{}, located(op, r.Tenant, err)
	}
	return c.scanAudit(ctx, op, r, func(rec *audit.Record) bool {
		return (r.Action == "" || rec.Action == r.Action) &&
			(r.Actor == "" || rec.Actor.Subject == r.Actor) &&
			r.Path.Contains(rec.Path)
	})
}

// scanAudit reads a tenant's records from the newest down and keeps those that
// match, until a page is full or enough was read.
func (c *Center) scanAudit(ctx context.Context, op string, r AuditRequest, match func(*audit.Record) bool) (config.Page[audit.Record], error) {
	page := config.Page[audit.Record]{Items: []audit.Record{}}
	prefix := record.AuditPrefix(r.Tenant)
	query := store.Query{Key: prefix, Prefix: true, Limit: r.size()}
	if !r.Until.IsZero() {
		query.After = record.AuditKey(r.Tenant, fmt.Sprintf("%016x", r.Until.UnixNano()))
	}
	if r.After != "" {
		query.After = prefix + r.After
	}
	for scanned := 0; scanned < auditScan; {
		got, err := c.store.Range(ctx, query)
		if err != nil {
			return page, located(op, "", err)
		}
		for _, entry := range got.Entries {
			scanned++
			query.After = entry.Key
			rec, err := record.Decode[audit.Record](entry.Value)
			if err != nil {
				c.log.ErrorContext(ctx, "audit record cannot be read", "key", entry.Key, "error", err)
				continue
			}
			if !r.Since.IsZero() && rec.Time.Before(r.Since) {
				return page, nil
			}
			if !match(&rec) {
				continue
			}
			rec.Revision = c.token(entry.Revision)
			page.Items = append(page.Items, rec)
			if len(page.Items) == r.size() {
				page.Next = entry.Key[len(prefix):]
				return page, nil
			}
		}
		if !got.More {
			return page, nil
		}
	}
	page.Next = query.After[len(prefix):]
	return page, nil
}

// refusals gathers refused acts and failed logins, so that a flood of them
// costs one audit record a second for each caller and act, not one each.
type refusals struct {
	mu      sync.Mutex
	pending map[refusal]int64
	dropped int64
}

type refusal struct {
	actor   audit.Actor // without its request id, which would make every one different
	action  string
	path    string
	outcome audit.Outcome
}

const (
	refusalInterval = time.Second
	refusalKinds    = 1024 // different refusals kept for one interval
)

func newRefusals() *refusals { return &refusals{pending: map[refusal]int64{}} }

func (r *refusals) note(ctx context.Context, action string, path config.Path, outcome audit.Outcome) {
	actor := actorOf(ctx)
	actor.RequestID = ""
	r.add(refusal{actor: actor, action: action, path: path.String(), outcome: outcome})
}

func (r *refusals) add(k refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.pending[k]; !known && len(r.pending) >= refusalKinds {
		r.dropped++
		return
	}
	r.pending[k]++
}

func (r *refusals) take() (map[refusal]int64, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dropped := r.dropped
	r.dropped = 0
	if len(r.pending) == 0 {
		return nil, dropped // the map stays here, where others write to it
	}
	pending := r.pending
	r.pending = map[refusal]int64{}
	return pending, dropped
}

// run hands what was gathered to write, once an interval and once more at the end.
func (r *refusals) run(ctx context.Context, write func(context.Context, map[refusal]int64, int64)) error {
	ticker := time.NewTicker(refusalInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if pending, dropped := r.take(); len(pending) > 0 {
				write(ctx, pending, dropped)
			}
		case <-ctx.Done():
			if pending, dropped := r.take(); len(pending) > 0 {
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalInterval)
				write(last, pending, dropped)
				cancel()
			}
			return nil
		}
	}
}

// writeRefusals commits gathered refusals in one transaction. They concern no
// change, so losing them to a store that is down is logged, not retried.
func (c *Center) writeRefusals(ctx context.Context, pending map[refusal]int64, dropped int64) {
	var txn store.Txn
	now := c.now().UTC()
	for k, count := range pending {
		// A path that names no tenant we know goes to the system's log: a
		// stranger must not be able to make up tenants' logs.
		path, err := config.ParsePath(k.path)
		if err != nil {
			path = config.Path{}
		}
		if _, known := c.view.Snapshot().Tenant(path.Tenant); !known {
			path = config.Path{}
		}
		rec := audit.Record{ID: auditID(now), Time: now, Actor: k.actor, Action: k.action, Path: path, Outcome: k.outcome, Count: count}
		txn.Writes = append(txn.Writes, store.Write{Key: record.AuditKey(path.Tenant, rec.ID), Value: record.Encode(rec)})
	}
	if dropped > 0 {
		c.log.WarnContext(ctx, "refused acts were too many to record", "not_recorded", dropped)
	}
	for chunk := range slices.Chunk(txn.Writes, 100) {
		if _, err := c.store.Commit(ctx, once(store.Txn{Writes: chunk})); err != nil {
			c.log.ErrorContext(ctx, "refused acts were not recorded", "records", len(chunk), "error", err)
		}
	}
}

// detail joins pairs for a record, leaving empty values out.
func detail(pairs map[string]string) map[string]string {
	maps.DeleteFunc(pairs, func(_, v string) bool { return v == "" })
	if len(pairs) == 0 {
		return nil
	}
	return pairs
}
