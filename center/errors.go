package center

import (
	"fmt"

	"github.com/setpointhq/setpoint/config"
)

// The texts that several verbs share.

func errExpected(expected, current int64) error {
	if current == 0 {
		return fmt.Errorf("expected version %d, but nothing was released yet", expected)
	}
	return fmt.Errorf("expected version %d, found %d", expected, current)
}

func errMalformed(problems []config.Problem) error {
	if len(problems) == 1 {
		return fmt.Errorf("the content is malformed: line %d, column %d: %s", problems[0].Line, problems[0].Column, problems[0].Message)
	}
	return fmt.Errorf("the content is malformed: %d problems, the first at line %d, column %d: %s",
		len(problems), problems[0].Line, problems[0].Column, problems[0].Message)
}

func errClosing(path config.Path) error {
	return config.Errorf(config.Conflict, "", "", "%s %s is being deleted", path.Level(), path)
}

func errNoConfig(path config.Path) error {
	return config.Errorf(config.NotFound, "", path.String(), "there is no such config")
}

func errDeleted(path config.Path) error {
	return config.Errorf(config.NotFound, "", path.String(), "the config is deleted; its history is kept, and undelete brings it back")
}

func errNoRelease(path config.Path) error {
	return config.Errorf(config.NotFound, "", path.String(), "nothing was released yet")
}

func errUncommented(env config.Path) error {
	return config.Errorf(config.Invalid, "", "", "env %s is protected: say why, in a comment", env)
}
