package plugin

// Settings is what every driver's settings struct offers, whatever its kind.
// The struct's fields carry `yaml` tags, the key in the settings file, and
// `doc` tags, one sentence for the reference. Beside basic types, a field may
// be a time.Duration, a Size, a config.Secret, a list or a struct of those.
type Settings interface {
	// Defaults fills every field; what the settings file says is decoded over it.
	Defaults()
	// Validate reports everything that is wrong, before anything is opened:
	// errors joined, each a *config.Error whose Path is the key that is wrong.
	Validate() error
}
