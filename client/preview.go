package client

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// PreviewLaunch asks who would get what: by a new launch of Items or, with Launch,
// Share or Change, by the one that is under way.
type PreviewLaunch struct {
	// Items are the configs of a new launch. Of one that is under way and is not
	// named, the first is the config that has no other.
	Items []config.Path
	// Tenant is whose launch is named; empty if there are Items.
	Tenant string
	// Strategy is that of the new launch, or another for the one under way.
	Strategy *config.Strategy
	// The next four are of a new launch. OnRunning is supersede, before or after.
	Gate         *config.Gate
	ExpiresAfter config.Seconds
	BeginsAt     time.Time
	OnRunning    string
	// Launch is the id of one that is under way, Share another share for it if it is
	// a canary, and Change what is done to it then.
	Launch string
	Share  *config.Share
	Change config.LaunchChange
	// Most bounds how many instances are told of; 0 is all. All are counted.
	Most int
}

// wirePreview is the body of the request.
type wirePreview struct {
	Items        []config.Path       `json:"items,omitempty"`
	Strategy     *config.Strategy    `json:"strategy,omitempty"`
	Gate         *config.Gate        `json:"gate,omitempty"`
	ExpiresAfter config.Seconds      `json:"expires_after_seconds,omitempty"`
	BeginsAt     time.Time           `json:"begins_at,omitzero"`
	OnRunning    string              `json:"on_running,omitempty"`
	Launch       string              `json:"launch,omitempty"`
	Share        *config.Share       `json:"share,omitempty"`
	Change       config.LaunchChange `json:"change,omitempty"`
}

// previewPage is the most instances that one answer has.
const previewPage = 1000

// Preview tells who would get what, and changes nothing. What would be refused is
// among its problems; what would be a conflict is one here. Its counts are as of
// its revision; should instances come and go while it is read page by page, its
// instances may be some more or fewer.
func (c *Client) Preview(ctx context.Context, p PreviewLaunch) (config.Preview, error) {
	path, in, err := p.request()
	if err != nil {
		return config.Preview{}, err
	}
	var whole config.Preview
	for after := ""; ; {
		limit := previewPage
		if p.Most > 0 {
			limit = min(limit, p.Most-len(whole.Items))
		}
		var page config.Preview
		r := request{method: http.MethodPost, path: path, in: in, query: values("limit", strconv.Itoa(limit), "after", after)}
		if _, err := c.call(ctx, r, &page); err != nil {
			return whole, err
		}
		items := append(whole.Items, page.Items...)
		if after == "" {
			whole = page
		}
		whole.Items, whole.Next = items, page.Next
		if page.Next == "" || p.Most > 0 && len(whole.Items) >= p.Most {
			return whole, nil
		}
		if page.Next == after {
			return whole, config.Errorf(config.Internal, "preview", path, "the server's pages do not advance")
		}
		after = page.Next
	}
}

// request returns where to send the request, and its body.
func (p *PreviewLaunch) request() (string, wirePreview, error) {
	for _, item := range p.Items {
		if err := item.Require(config.LevelConfig); err != nil {
			return "", wirePreview{}, err
		}
	}
	in := wirePreview{
		Items: p.Items, Strategy: p.Strategy, Gate: p.Gate, ExpiresAfter: p.ExpiresAfter, BeginsAt: p.BeginsAt,
		OnRunning: p.OnRunning, Launch: p.Launch, Share: p.Share, Change: p.Change,
	}
	tenant := config.Path{Tenant: p.Tenant}
	if len(p.Items) > 0 {
		tenant.Tenant = p.Items[0].Tenant
	}
	if err := tenant.Require(config.LevelTenant); err != nil {
		return "", wirePreview{}, err
	}
	changes := p.Launch != "" || p.Share != nil || p.Change != ""
	if changes {
		in.Items = nil
	}
	if changes && p.Launch == "" && len(p.Items) > 0 {
		return at(p.Items[0], "rollout", "preview"), in, nil
	}
	return at(tenant, "launches", "preview"), in, nil
}
