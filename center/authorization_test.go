package center_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// unguarded methods act for no caller: they are the server's own, or about
// things that everyone may know. Every other exported method must refuse.
var unguarded = []string{
	"Run", "Formats", "Limits", "LoginFailed", "LastBackup", "RunBackups", "BackupName", "Self", "Staleness", "LocalInstances", "LocalReceipts", "InstanceStats", "CheckJoinToken", "RedeemJoinToken",
}

// selfService methods concern the caller alone, so that an identity without
// rights may use them; they still refuse a caller without an identity.
var selfService = []string{"WhoAmI", "CanI", "Roles", "Login", "LoginVouched", "Logout", "LogoutEverywhere", "SetPassword", "CreateToken"}

// TestEveryMethodAuthorizes calls every exported method of Center, found by
// reflection so that a new one cannot be forgotten, as nobody and as somebody
// without rights.
func TestEveryMethodAuthorizes(t *testing.T) {
	n := start(t)
	n.house()
	n.publish("acme/shop/dev/app.json", `{}`)
	mallory := n.user("mallory")
	methods := reflect.TypeOf(n.Center)
	for i := range methods.NumMethod() {
		method := methods.Method(i)
		if slices.Contains(unguarded, method.Name) {
			continue
		}
		t.Run(method.Name, func(t *testing.T) {
			wantKind(t, config.Unauthenticated, call(t, n, method, t.Context()))
			err := call(t, n, method, mallory)
			if slices.Contains(selfService, method.Name) {
				if config.KindOf(err) == config.Denied && method.Name != "Login" && err != nil {
					t.Errorf("one's own affairs should be allowed: %v", err)
				}
				return
			}
			wantKind(t, config.Denied, err)
		})
	}
}

// call invokes the method with arguments that name real things wherever it can,
// so that only the missing right stands in the way.
func call(t *testing.T, n *node, method reflect.Method, ctx context.Context) error {
	t.Helper()
	in := []reflect.Value{reflect.ValueOf(n.Center)}
	for i := 1; i < method.Type.NumIn(); i++ {
		in = append(in, argument(t, method.Type.In(i), ctx))
	}
	out := method.Func.Call(in)
	err, _ := out[len(out)-1].Interface().(error)
	var known *config.Error
	if err != nil && !errors.As(err, &known) {
		t.Errorf("%s returned an error that is not a *config.Error: %v", method.Name, err)
	}
	return err
}

func argument(t *testing.T, typ reflect.Type, ctx context.Context) reflect.Value {
	t.Helper()
	target := path(t, "acme/shop/dev/app.json")
	switch typ {
	case reflect.TypeFor[context.Context]():
		return reflect.ValueOf(ctx)
	case reflect.TypeFor[io.Writer]():
		return reflect.ValueOf(io.Discard)
	case reflect.TypeFor[config.Path]():
		return reflect.ValueOf(target)
	case reflect.TypeFor[*config.Release]():
		return reflect.ValueOf(&config.Release{Path: target})
	case reflect.TypeFor[func()]():
		return reflect.ValueOf(func() {})
	case reflect.TypeFor[string]():
		return reflect.ValueOf("acme")
	case reflect.TypeFor[auth.Binding]():
		return reflect.ValueOf(auth.Binding{User: "mallory", Role: auth.RoleAdmin, Scope: target.At(config.LevelTenant)})
	}
	v := reflect.New(typ).Elem()
	if typ.Kind() == reflect.Struct {
		fill(v, target)
	}
	return v
}

// fill puts a path into every field that takes one, and one item into lists.
func fill(v reflect.Value, target config.Path) {
	for i := range v.NumField() {
		field := v.Field(i)
		if !field.CanSet() {
			continue
		}
		switch {
		case field.Type() == reflect.TypeFor[config.Path]():
			field.Set(reflect.ValueOf(target))
		case field.Type() == reflect.TypeFor[[]string]():
			field.Set(reflect.ValueOf([]string{target.String()}))
		case field.Kind() == reflect.String && v.Type().Field(i).Name == "Tenant":
			field.SetString(target.Tenant)
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
			fill(field.Index(0), target)
		case field.Kind() == reflect.Struct:
			fill(field, target)
		}
	}
}

// TestTenantsAreSealedOffFromEachOther gives somebody everything in one tenant
// and looks for anything that shows or changes another.
func TestTenantsAreSealedOffFromEachOther(t *testing.T) {
	n := start(t)
	n.house()
	_, err := n.CreateTenant(n.admin(), config.Tenant{Name: "globex"})
	n.must(err)
	n.publish("acme/shop/dev/app.json", `{}`)
	eve := n.user("eve", auth.Grant{Role: auth.RoleAdmin, Scope: path(t, "globex")})
	methods := reflect.TypeOf(n.Center)
	// These show only what the caller has a right to, or are about the caller.
	filtered := append([]string{"Tenants", "Users", "Bindings", "CreateUser", "User", "Audit"}, selfService...)
	for i := range methods.NumMethod() {
		method := methods.Method(i)
		if slices.Contains(unguarded, method.Name) || slices.Contains(filtered, method.Name) {
			continue
		}
		t.Run(method.Name, func(t *testing.T) {
			wantKind(t, config.Denied, call(t, n, method, eve))
		})
	}
	tenants, err := n.Tenants(eve, pages)
	n.must(err)
	if len(tenants.Items) != 1 || tenants.Items[0].Name != "globex" {
		t.Errorf("tenants that eve sees: want globex alone, got %+v", tenants.Items)
	}
	users, err := n.Users(eve, pages)
	n.must(err)
	if len(users.Items) != 1 || users.Items[0].Name != "eve" {
		t.Errorf("users that eve sees: want herself alone, got %+v", users.Items)
	}
}
