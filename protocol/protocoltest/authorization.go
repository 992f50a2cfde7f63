package protocoltest

import (
	"fmt"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func authorizationScenarios() []scenario {
	var all []scenario
	for _, part := range []Part{
		PartScopes, PartConfigs, PartDrafts, PartReleases, PartLaunches, PartForesight, PartInstances, PartReads, PartWatches, PartReports,
	} {
		all = append(all, scenario{"whoever may not learns nothing of " + string(part), []Part{part}, func(s *stage) { s.forbidden(part) }})
	}
	return append(all,
		scenario{"an application only reads", []Part{PartReads, PartReleases}, applicationReads},
		scenario{"a pattern needs the right to all that it could match", []Part{PartWatches}, patternsNeedAll},
	)
}

// attempt is something that is not everybody's to do.
type attempt struct {
	what string
	do   func(a *actor, path config.Path) error
}

// forbidden has strangers attempt all of a part, on what is there and on what is
// not: the answers must not tell which is which.
func (s *stage) forbidden(part Part) {
	s.publish("here.json", "1")
	s.launch("here.json", "2", strategies(s)["share"])
	_, _, err := s.arrange.SaveDraft(s.ctx, center.SaveDraft{Path: s.prod.Join("here.json"), Content: []byte("3")})
	s.ok(err)
	other := config.Path{Tenant: s.node.tenant(), App: "shop"}
	s.found(other)
	stranger, _ := s.user(auth.Grant{Role: auth.RoleAdmin, Scope: other.At(config.LevelTenant)})
	nobody, _ := s.user()
	for _, c := range []struct {
		who    string
		caller Caller
		want   config.ErrorKind
	}{
		{"somebody unknown", Caller{}, config.Unauthenticated},
		{"one without rights", nobody, config.Denied},
		{"the admin of another tenant", stranger, config.Denied},
	} {
		c.caller.Instance = config.Client{ID: "node-1"}
		a := s.as(c.caller)
		for _, try := range s.attempts(part) {
			here, missing := s.prod.Join("here.json"), s.prod.Join("gone.json")
			err := try.do(a, here)
			e := s.refused(c.who+" attempts to "+try.what, c.want, err)
			if len(e.Problems) > 0 || e.Current != 0 {
				s.Errorf("%s attempts to %s, and learns %+v", c.who, try.what, e)
			}
			s.sameError(c.who+" attempts to "+try.what+" that is not there", renamed(err, here.Name, missing.Name), try.do(a, missing))
			missing = config.Path{Tenant: "none-of-it", App: "shop", Env: "prod", Name: "here.json"}
			s.sameError(c.who+" attempts to "+try.what+" of a tenant that is not there", renamed(err, here.Tenant, missing.Tenant), try.do(a, missing))
		}
	}
	s.want("what is served", "1", s.released("here.json"))
}

// drop forgets an answer.
func drop[T any](_ T, err error) error { return err }

func (s *stage) attempts(part Part) []attempt {
	ctx := s.ctx
	switch part {
	case PartScopes:
		return []attempt{
			{"get a tenant", func(a *actor, p config.Path) error { return drop(a.Tenant(ctx, p.Tenant)) }},
			{"make an app", func(a *actor, p config.Path) error {
				return drop(a.CreateApp(ctx, config.App{Tenant: p.Tenant, Name: "shop"}))
			}},
			{"list apps", func(a *actor, p config.Path) error { return drop(a.ListApps(ctx, p.Tenant, center.PageRequest{})) }},
			{"make an env", func(a *actor, p config.Path) error {
				return drop(a.CreateEnv(ctx, config.Env{Tenant: p.Tenant, App: p.App, Name: "prod"}))
			}},
			{"list envs", func(a *actor, p config.Path) error { return drop(a.ListEnvs(ctx, p.At(config.LevelApp))) }},
			{"change an env", func(a *actor, p config.Path) error {
				return drop(a.UpdateEnv(ctx, center.EnvPatch{Path: p.Parent(), Order: ptr(9)}))
			}},
			{"delete an env", func(a *actor, p config.Path) error { return a.DeleteScope(ctx, p.Parent(), "") }},
			{"delete a tenant", func(a *actor, p config.Path) error { return a.DeleteScope(ctx, p.At(config.LevelTenant), "") }},
		}
	case PartConfigs:
		return []attempt{
			{"make a config", func(a *actor, p config.Path) error { return drop(a.CreateConfig(ctx, config.Config{Path: p})) }},
			{"get a config", func(a *actor, p config.Path) error { return drop(a.Config(ctx, p)) }},
			{"list configs", func(a *actor, p config.Path) error {
				return drop(a.ListConfigs(ctx, center.ConfigsRequest{Env: p.Parent()}))
			}},
			{"change a config", func(a *actor, p config.Path) error {
				return drop(a.UpdateConfig(ctx, center.ConfigPatch{Path: p, Description: ptr("x")}))
			}},
			{"delete a config", func(a *actor, p config.Path) error { return a.DeleteConfig(ctx, center.DeleteConfig{Path: p}) }},
			{"undelete a config", func(a *actor, p config.Path) error { return drop(a.UndeleteConfig(ctx, p, "")) }},
		}
	case PartDrafts:
		return []attempt{
			{"get a draft", func(a *actor, p config.Path) error { return drop(a.Draft(ctx, p)) }},
			{"save a draft", func(a *actor, p config.Path) error {
				_, _, err := a.SaveDraft(ctx, center.SaveDraft{Path: p, Content: []byte("{")})
				return err
			}},
			{"drop a draft", func(a *actor, p config.Path) error { return a.DeleteDraft(ctx, p, "") }},
		}
	case PartReleases:
		return releaseAttempts(s)
	case PartLaunches:
		return launchAttempts(s)
	case PartForesight:
		return []attempt{
			{"explain", func(a *actor, p config.Path) error { return drop(a.Explain(ctx, center.ExplainRequest{Path: p})) }},
			{"preview", func(a *actor, p config.Path) error {
				o := center.ReleaseOptions{Launch: &center.LaunchOptions{Strategy: strategies(s)["labels"]}}
				return drop(a.Preview(ctx, center.PreviewRequest{Paths: []config.Path{p}, ReleaseOptions: o}))
			}},
		}
	case PartInstances:
		return []attempt{
			{"list instances", func(a *actor, p config.Path) error {
				return drop(a.ListInstances(ctx, center.InstanceRequest{Path: p}))
			}},
			{"list an env's instances", func(a *actor, p config.Path) error {
				return drop(a.ListInstances(ctx, center.InstanceRequest{Path: p.Parent()}))
			}},
		}
	case PartReads:
		return []attempt{
			{"read", func(a *actor, p config.Path) error { return drop(a.Get(ctx, Read{Path: p})) }},
			{"read an env", func(a *actor, p config.Path) error { return drop(a.Snapshot(ctx, Read{Path: p.Parent()})) }},
		}
	case PartWatches:
		return []attempt{
			{"watch", func(a *actor, p config.Path) error {
				return s.watchError(a, WatchRequest{Patterns: []string{p.String()}})
			}},
			{"watch an env", func(a *actor, p config.Path) error {
				return s.watchError(a, WatchRequest{Patterns: []string{p.Parent().String()}})
			}},
		}
	default:
		return []attempt{{"report", func(a *actor, p config.Path) error {
			return a.Report(ctx, []center.InstanceReport{{Path: p, Version: 1, State: config.AckApplied}})
		}}}
	}
}

func releaseAttempts(s *stage) []attempt {
	ctx := s.ctx
	return []attempt{
		{"publish", func(a *actor, p config.Path) error {
			return drop(a.Publish(ctx, center.Publish{Tenant: p.Tenant, Items: []center.PublishItem{{Path: p, Content: []byte("{"), ExpectedVersion: ptr(int64(9))}}}))
		}},
		{"publish a draft", func(a *actor, p config.Path) error {
			return drop(a.Publish(ctx, center.Publish{Tenant: p.Tenant, Items: []center.PublishItem{{Path: p, FromDraft: true}}}))
		}},
		{"roll back", func(a *actor, p config.Path) error { return drop(a.Rollback(ctx, center.Rollback{Path: p})) }},
		{"promote", func(a *actor, p config.Path) error {
			app := p.At(config.LevelApp)
			return drop(a.Promote(ctx, center.Promote{From: app.Join("prod"), To: app.Join("dev"), Names: []string{p.Name}}))
		}},
		{"get a release", func(a *actor, p config.Path) error {
			_, _, err := a.Release(ctx, p, 1)
			return err
		}},
		{"list releases", func(a *actor, p config.Path) error { return drop(a.ListReleases(ctx, p, center.PageRequest{})) }},
		{"list change sets", func(a *actor, p config.Path) error {
			return drop(a.ListChangeSets(ctx, p.Tenant, center.PageRequest{}))
		}},
	}
}

func launchAttempts(s *stage) []attempt {
	ctx := s.ctx
	act := func(p config.Path) center.LaunchAct { return center.LaunchAct{LaunchRef: center.LaunchRef{Path: p}} }
	return []attempt{
		{"get a launch", func(a *actor, p config.Path) error {
			return drop(a.Launch(ctx, center.LaunchRef{Tenant: p.Tenant, ID: "x"}))
		}},
		{"list launches", func(a *actor, p config.Path) error {
			return drop(a.ListLaunches(ctx, center.LaunchesRequest{Tenant: p.Tenant}))
		}},
		{"advance", func(a *actor, p config.Path) error { return drop(a.AdvanceLaunch(ctx, act(p))) }},
		{"pause", func(a *actor, p config.Path) error { return drop(a.PauseLaunch(ctx, act(p))) }},
		{"resume", func(a *actor, p config.Path) error { return drop(a.ResumeLaunch(ctx, act(p))) }},
		{"switch", func(a *actor, p config.Path) error {
			return drop(a.SwitchLaunch(ctx, center.SwitchLaunch{LaunchAct: act(p)}))
		}},
		{"abort", func(a *actor, p config.Path) error { return drop(a.AbortLaunch(ctx, act(p))) }},
		{"promote a launch", func(a *actor, p config.Path) error { return drop(a.PromoteLaunch(ctx, act(p))) }},
	}
}

func applicationReads(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	_, err := app.Get(s.ctx, Read{Path: s.prod.Join("a.json")})
	s.ok(err)
	_, err = app.Publish(s.ctx, s.items("a.json", "2"))
	s.refused("an application that publishes", config.Denied, err)
	_, _, err = app.Release(s.ctx, s.prod.Join("a.json"), 1)
	s.refused("an application that reads history", config.Denied, err)
	_, err = app.Get(s.ctx, Read{Path: s.dev.Join("a.json")})
	s.refused("an application that reads another env", config.Denied, err)
	s.want("what is served", "1", s.released("a.json"))
}

func patternsNeedAll(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	for _, pattern := range []string{s.app.Tenant, s.app.String(), s.app.Tenant + "/*/prod", s.dev.String(), s.app.String() + "/pro*", "t0"} {
		r := WatchRequest{Patterns: []string{s.prod.String(), pattern}}
		if pattern == s.app.String()+"/pro*" {
			s.refused("the pattern "+pattern, config.Invalid, s.watchError(app, r))
			continue
		}
		s.refused("the pattern "+pattern, config.Denied, s.watchError(app, r))
	}
}

func guessScenarios() []scenario {
	return []scenario{
		{"wrong tokens are refused, and then made to wait", []Part{PartReads}, guessTokens},
	}
}

// guessTokens tries tokens until it is made to wait; whoever has a right one
// comes in all the same.
func guessTokens(s *stage) {
	s.publish("a.json", "1")
	app, _ := s.application(config.Client{})
	read := Read{Path: s.prod.Join("a.json")}
	for try := range 200 {
		guesser := s.as(Caller{Token: config.NewSecret(fmt.Sprintf("sp_guess%d", try))})
		_, err := guesser.Get(s.ctx, read)
		if kind := config.KindOf(err); try > 0 && kind == config.Throttled {
			break
		}
		s.refused("a wrong token", config.Unauthenticated, err)
		guesser.client.Close()
	}
	_, err := app.Get(s.ctx, read)
	s.ok(err)
}
