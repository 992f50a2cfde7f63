package agent

import (
	"errors"
	"fmt"
	"slices"
	"text/template"
	"text/template/parse"
)

// recipe is a template, and the configs that it names.
type recipe struct {
	parsed *template.Template
	needs  []string // paths and patterns, of those that stand in the text
}

// parseRecipe reads a template. An error names the line.
func parseRecipe(name, text string) (*recipe, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs((&kitchen{}).functions()).Parse(text)
	if err != nil {
		return nil, err
	}
	f := finder{}
	for _, part := range t.Templates() {
		if part.Tree != nil && part.Root != nil {
			f.walk(part.Root)
		}
	}
	slices.Sort(f.found)
	return &recipe{parsed: t, needs: slices.Compact(f.found)}, nil
}

// execute renders the template with what is served.
func (r *recipe) execute(k *kitchen) ([]byte, error) {
	t, err := r.parsed.Clone()
	if err != nil {
		return nil, err
	}
	out := &bounded{most: maxRendered}
	if err := t.Funcs(k.functions()).Execute(out, nil); err != nil {
		var failed template.ExecError
		if errors.As(err, &failed) {
			return nil, failed.Err
		}
		return nil, err
	}
	return out.text, nil
}

// maxRendered is the largest file that a template makes, in bytes.
const maxRendered = 16 << 20

// bounded holds what is written, up to a bound.
type bounded struct {
	text []byte
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > b.most {
		return 0, fmt.Errorf("the template makes more than %d MiB", b.most>>20)
	}
	b.text = append(b.text, p...)
	return len(p), nil
}

// finder looks in a template for the configs that it names, so that they can be
// watched before it is rendered for the first time.
type finder struct{ found []string }

func (f *finder) walk(node parse.Node) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			f.walk(child)
		}
	case *parse.ActionNode:
		f.pipe(n.Pipe)
	case *parse.TemplateNode:
		f.pipe(n.Pipe)
	case *parse.IfNode:
		f.branch(&n.BranchNode)
	case *parse.RangeNode:
		f.branch(&n.BranchNode)
	case *parse.WithNode:
		f.branch(&n.BranchNode)
	case *parse.PipeNode:
		f.pipe(n)
	case *parse.ChainNode:
		f.walk(n.Node)
	}
}

func (f *finder) branch(n *parse.BranchNode) {
	f.pipe(n.Pipe)
	f.walk(n.List)
	f.walk(n.ElseList)
}

func (f *finder) pipe(n *parse.PipeNode) {
	if n == nil {
		return
	}
	for i, command := range n.Cmds {
		for _, arg := range command.Args {
			f.walk(arg)
		}
		name, ok := command.Args[0].(*parse.IdentifierNode)
		if !ok || !readsConfigs(name.Ident) {
			continue
		}
		switch {
		case len(command.Args) > 1:
			f.literal(command.Args[1])
		case i > 0 && len(n.Cmds[i-1].Args) == 1:
			f.literal(n.Cmds[i-1].Args[0])
		}
	}
}

func (f *finder) literal(node parse.Node) {
	if text, ok := node.(*parse.StringNode); ok {
		f.found = append(f.found, text.Text)
	}
}

// readsConfigs says that a function's first argument names configs.
func readsConfigs(function string) bool {
	switch function {
	case "config", "configs", "has", "version", "json", "yaml":
		return true
	}
	return false
}
