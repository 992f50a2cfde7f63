package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
)

func (a *app) auditSeal() *cobra.Command {
	cmd := a.command("seal", "Show where the chain that seals the audit ends", cobra.NoArgs,
		func(ctx context.Context, c *client.Client, _ []string) error {
			s, err := c.AuditSeal(ctx)
			if err != nil {
				return err
			}
			return a.show(s, facts("head", noted(s), "sealed at", when(s.SealedAt), "records", strconv.FormatInt(s.Records, 10)))
		})
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) auditVerify() *cobra.Command {
	var expect string
	cmd := a.command("verify", "Find out whether the audit was tampered with", cobra.NoArgs,
		func(ctx context.Context, c *client.Client, _ []string) error {
			expected, err := parseNoted(expect)
			if err != nil {
				return err
			}
			v, err := c.VerifyAudit(ctx, expected)
			if err != nil {
				return err
			}
			return a.showVerification(v)
		})
	cmd.Long = "Compare the audit records of all tenants with the chain of checkpoints that seals them, and find\n" +
		"records that were removed, altered, added or reordered. The exit code is 1 if anything is wrong.\n\n" +
		"Whoever can write to the store could make the chain itself anew. So note the head that is shown\n" +
		"down where they cannot change it, and give it as --expect later: then nothing that was sealed\n" +
		"before can have been changed unseen. Records are sealed about once a second."
	cmd.Flags().StringVar(&expect, "expect", "", "the head noted down earlier, as `SEQ:HASH`, must still be in the chain")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// noted renders a head as it is noted down.
func noted(s client.AuditSeal) string {
	if s.Sequence == 0 {
		return "-"
	}
	return fmt.Sprintf("%d:%s", s.Sequence, s.Hash)
}

// parseNoted reads what noted rendered.
func parseNoted(s string) (client.AuditSeal, error) {
	if s == "" {
		return client.AuditSeal{}, nil
	}
	digits, hash, _ := strings.Cut(s, ":")
	sequence, err := strconv.ParseInt(digits, 10, 64)
	raw, notHex := hex.DecodeString(hash)
	if err != nil || sequence < 1 || notHex != nil || len(raw) != 32 {
		return client.AuditSeal{}, usagef("--expect %s: want SEQ:HASH, as 'setpoint audit verify' showed it", s)
	}
	return client.AuditSeal{Sequence: sequence, Hash: hash}, nil
}

// showVerification prints what was found, the worst first, and ends with 1 if
// anything is wrong.
func (a *app) showVerification(v client.AuditVerification) error {
	summary := facts("intact", yesNo(v.Intact), "head", noted(v.Seal), "sealed at", when(v.Seal.SealedAt),
		"verified", count(int(v.Verified), "record"), "not sealed yet", count(int(v.Unsealed), "record"),
		"checkpoints", strconv.FormatInt(v.Checkpoints, 10))
	if v.Seal.Dropped > 0 {
		summary.add("deleted", fmt.Sprintf("the records up to checkpoint %d, because of their age", v.Seal.Dropped))
	}
	if err := a.show(v, summary); err != nil {
		return err
	}
	for _, f := range v.Findings {
		say := a.complain
		if f.Warning {
			say = a.warn
		}
		say("%s", findingText(f))
	}
	switch {
	case !v.Intact && v.Omitted > 0:
		a.complain("and about %d more", v.Omitted)
	case v.Intact && v.Seal.Sequence == 0:
		a.warn("nothing is sealed: records are, about a second after they were written, unless the store elects nobody")
	}
	if !v.Intact {
		return exitError(exitFailure)
	}
	return nil
}

// complain tells of something that is wrong.
func (a *app) complain(format string, args ...any) {
	fmt.Fprintln(a.env.Stderr, clean("wrong: "+fmt.Sprintf(format, args...)))
}

// findingText says on one line what is wrong and where.
func findingText(f client.AuditFinding) string {
	var where []string
	if f.Checkpoint > 0 {
		where = append(where, fmt.Sprintf("checkpoint %d", f.Checkpoint))
	}
	if f.Record != "" {
		tenant := "the system"
		if f.Tenant != "" {
			tenant = "tenant " + f.Tenant
		}
		where = append(where, tenant, "record "+f.Record)
	}
	switch {
	case !f.Time.IsZero():
		where = append(where, "of "+when(f.Time))
	case !f.From.IsZero():
		where = append(where, "of "+when(f.From)+" to "+when(f.Until))
	}
	text := f.Kind
	if len(where) > 0 {
		text += ": " + strings.Join(where, ", ")
	}
	return text + ": " + f.Detail
}
