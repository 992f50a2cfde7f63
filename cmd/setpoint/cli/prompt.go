package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"github.com/setpointhq/setpoint/config"
)

// interactive reports whether somebody can be asked.
func (a *app) interactive() bool {
	_, tty := terminal(a.env.Stdin)
	return tty
}

// ask prompts for one line.
func (a *app) ask(ctx context.Context, prompt string) (string, error) {
	if !a.interactive() {
		return "", usagef("%s: cannot ask, standard input is no terminal", strings.TrimRight(prompt, ": "))
	}
	fmt.Fprint(a.env.Stderr, prompt)
	return await(ctx, func() (string, error) { return readLine(a.env.Stdin) })
}

// confirm asks a question of yes or no; an empty answer is otherwise.
func (a *app) confirm(ctx context.Context, question string, otherwise bool) (bool, error) {
	choice := " [y/N] "
	if otherwise {
		choice = " [Y/n] "
	}
	answer, err := a.ask(ctx, question+choice)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "":
		return otherwise, nil
	case "y", "yes":
		return true, nil
	default:
		return false, nil
	}
}

// askSecret prompts for text that is not shown as it is typed.
func (a *app) askSecret(ctx context.Context, prompt string) (config.Secret, error) {
	fd, tty := terminal(a.env.Stdin)
	if !tty {
		return config.Secret{}, usagef("%s: cannot ask, standard input is no terminal; use --password-stdin", strings.TrimRight(prompt, ": "))
	}
	before, err := term.GetState(fd)
	if err != nil {
		return config.Secret{}, err
	}
	fmt.Fprint(a.env.Stderr, prompt)
	text, err := await(ctx, func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	})
	if ctx.Err() != nil {
		_ = term.Restore(fd, before)
	}
	fmt.Fprintln(a.env.Stderr)
	return config.NewSecret(text), err
}

// newSecret asks for a new password twice.
func (a *app) newSecret(ctx context.Context, prompt string) (config.Secret, error) {
	first, err := a.askSecret(ctx, prompt)
	if err != nil {
		return config.Secret{}, err
	}
	again, err := a.askSecret(ctx, "Again: ")
	if err != nil {
		return config.Secret{}, err
	}
	if first != again {
		return config.Secret{}, usagef("the two differ")
	}
	return first, nil
}

// secretFromStdin reads one line of standard input.
func (a *app) secretFromStdin() (config.Secret, error) {
	text, err := readLine(a.env.Stdin)
	if err == nil && text == "" {
		err = usagef("--password-stdin: standard input is empty")
	}
	return config.NewSecret(text), err
}

// await runs a read that no context can interrupt. When ctx ends first, the
// read is left behind: it ends with the process, which is about to.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1) // room, so that a read left behind can end
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// readLine reads one line and nothing after it, so that what follows is left
// for the next reader.
func readLine(r io.Reader) (string, error) {
	const most = 64 << 10
	var line []byte
	one := make([]byte, 1)
	for len(line) < most {
		n, err := r.Read(one)
		if n == 1 && one[0] == '\n' {
			break
		}
		line = append(line, one[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return strings.TrimSuffix(string(line), "\r"), nil
}
