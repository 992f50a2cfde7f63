package auth

import (
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// Providers returns those of all drivers of the chain, by name.
func (c Chain) Providers() []Provider {
	var all []Provider
	for _, a := range c {
		if f, ok := a.(Federation); ok {
			all = append(all, f.Providers()...)
		}
	}
	slices.SortFunc(all, func(p, q Provider) int { return strings.Compare(p.Provider(), q.Provider()) })
	return all
}

// CheckProviders refuses two providers of one name: whoever one of them vouches
// for would be taken for the other's.
func (c Chain) CheckProviders() error {
	all := c.Providers()
	for i := 1; i < len(all); i++ {
		if name := all[i].Provider(); name == all[i-1].Provider() {
			return config.Errorf(config.Invalid, "settings", "auth", "two drivers have a provider named %q; give each a name of its own", name)
		}
	}
	return nil
}

// ProviderAs finds the provider of a name that can do what T asks for; the error
// is NotFound, and says which there are.
func ProviderAs[T Provider](c Chain, name string) (T, error) {
	var able []string
	for _, p := range c.Providers() {
		t, ok := p.(T)
		if ok && p.Provider() == name {
			return t, nil
		}
		if ok {
			able = append(able, p.Provider())
		}
	}
	var none T
	if len(able) == 0 {
		return none, config.Errorf(config.NotFound, "auth.login", "", "no provider here logs people in this way")
	}
	return none, config.Errorf(config.NotFound, "auth.login", "", "no provider %.64q logs people in this way; there are %s", name, strings.Join(able, ", "))
}
