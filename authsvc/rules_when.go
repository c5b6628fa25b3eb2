package authsvc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"authsvc/session"
)

const (
	// maxWhen bounds the text of an expression, in bytes.
	maxWhen = 4096
	// whenCost bounds what an expression may cost, in CEL's units, of which one is a comparison or a look into a map: some milliseconds
	// at most, where a plain expression takes a microsecond. What can be known of it is held against this bound when the rule is compiled.
	whenCost = 50_000
	// What is taken for granted when the cost is estimated: whoever has more is denied at run time.
	assumedText, assumedList = 512, 200
)

// rightWhen tells what an expression can look at.
const rightWhen = "write a CEL expression that is true or false, over request.method, .scheme, .host, .path, .time, claims, and session.subject, " +
	".issuer, .groups, .email, .acr, .auth_time, .created, .expires"

// condition is a compiled expression in the Common Expression Language. It is safe for concurrent use.
type condition struct {
	program cel.Program
	// looksAtRequest says that it looks at what was asked, looksAtPath at the path of it, looksAtTime at when, looksAtSession at who asks.
	looksAtRequest, looksAtPath, looksAtTime, looksAtSession bool
	claims                                                   []string // that it names
	anyClaim                                                 bool     // it looks at claims in a way that does not tell which
}

// whenVariables are what expressions see. Their names have a dot, so that a name that does not exist is found when the expression is compiled.
var whenVariables = map[string]*cel.Type{
	"request.method": cel.StringType,
	"request.scheme": cel.StringType,    // http or https
	"request.host":   cel.StringType,    // canonical, without a port
	"request.path":   cel.StringType,    // in its normal form
	"request.time":   cel.TimestampType, // now

	"claims": cel.MapType(cel.StringType, cel.DynType),

	"session.subject":   cel.StringType,
	"session.issuer":    cel.StringType,
	"session.groups":    cel.ListType(cel.StringType),
	"session.email":     cel.StringType, // empty unless it is one to rely on
	"session.acr":       cel.StringType,
	"session.auth_time": cel.TimestampType, // 1970 where the provider does not tell
	"session.created":   cel.TimestampType,
	"session.expires":   cel.TimestampType,
}

// whenEnvironment is made once: it costs more than any expression in it.
var whenEnvironment = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{cel.CrossTypeNumericComparisons(true), cel.ParserExpressionSizeLimit(maxWhen)}
	for name, kind := range whenVariables {
		options = append(options, cel.Variable(name, kind))
	}
	return cel.NewEnv(options...)
})

// compileWhen parses and checks an expression. Its error tells the place in the text as line:column.
func compileWhen(text string) (*condition, error) {
	if len(text) > maxWhen {
		return nil, fmt.Errorf("has more than %d bytes", maxWhen)
	}
	env, err := whenEnvironment()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, whenError(issues.Errors()[0])
	}
	if checked.OutputType().IsExactType(cel.DynType) {
		return nil, errors.New("may be anything: compare it, as in claims.admin == true")
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("is %s and not true or false", checked.OutputType())
	}
	estimate, err := env.EstimateCost(checked, assumedSizes{})
	if err != nil {
		return nil, err
	}
	if estimate.Max > whenCost {
		return nil, errors.New("may cost too much: it goes through lists within lists, or long texts")
	}
	c := new(condition)
	c.program, err = env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(whenCost))
	if err != nil {
		return nil, fmt.Errorf("is not possible: %s", plainMessage(err.Error()))
	}
	c.look(checked.NativeRep())
	return c, nil
}

// whenError words an issue: line:column and what is wrong there.
func whenError(issue *cel.Error) error {
	message := plainMessage(issue.Message)
	for _, object := range []string{"request", "session"} {
		if message == "undeclared reference to '"+object+"'" {
			message = object + " has no such field"
		}
	}
	// What else the parser could read there is a list of its symbols.
	message, _, _ = strings.Cut(message, " expecting ")
	return fmt.Errorf("%d:%d: %s", issue.Location.Line(), issue.Location.Column()+1, message)
}

// plainMessage makes one line without a semicolon of a message.
func plainMessage(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text = strings.TrimSuffix(text, " (in container '')")
	return strings.ReplaceAll(text, ";", ",")
}

// look finds what an expression looks at.
func (c *condition) look(checked *ast.AST) {
	for _, reference := range checked.ReferenceMap() {
		switch kind, _, _ := strings.Cut(reference.Name, "."); {
		case reference.Name == "request.time":
			c.looksAtTime = true
		case kind == "request":
			c.looksAtRequest = true
			c.looksAtPath = c.looksAtPath || reference.Name == "request.path"
		case kind == "claims" || kind == "session":
			c.looksAtSession = true
			c.looksAtTime = c.looksAtTime || reference.Name == "session.created" || reference.Name == "session.expires"
		}
	}
	isClaims := func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "claims" }
	unnamed := 0
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case isClaims(e):
			unnamed++
		case e.Kind() == ast.SelectKind && isClaims(e.AsSelect().Operand()):
			c.claims = append(c.claims, e.AsSelect().FieldName())
			unnamed--
		case e.Kind() == ast.CallKind && len(e.AsCall().Args()) == 2:
			// claims["name"], and "name" in claims
			for i, of := range e.AsCall().Args() {
				name := e.AsCall().Args()[1-i]
				if !isClaims(of) || name.Kind() != ast.LiteralKind {
					continue
				}
				if text, ok := name.AsLiteral().(types.String); ok {
					c.claims = append(c.claims, string(text))
					unnamed--
				}
			}
		}
	}))
	c.anyClaim = unnamed > 0
	slices.Sort(c.claims)
	c.claims = slices.Compact(c.claims)
}

// holds evaluates the expression. An error means that nobody can tell, such as a claim that is not there or a cost over the bound. What it
// wraps may quote claims, and belongs into no log.
func (c *condition) holds(q *request, v *viewer) (bool, error) {
	if c.looksAtSession {
		v.session = v.openForAll()
	}
	result, _, err := c.program.Eval(&whenValues{request: *q, viewer: *v})
	if err != nil {
		return false, fmt.Errorf("the expression has no value: %w", err)
	}
	holds, ok := result.(types.Bool)
	if !ok {
		return false, errors.New("the expression is neither true nor false")
	}
	return bool(holds), nil
}

// lastHeld is what an expression said last of a session, and of the request as far as it looked at that.
type lastHeld struct {
	condition                  *condition
	method, scheme, host, path string
	holds                      bool
}

// holds is condition.holds, which costs more than the rest of a verdict, unless the same was asked last of the same session: nothing but the time changes
// then, and most expressions look at who asks, or at the method.
func (v *viewer) holds(c *condition, q *request) (bool, error) {
	if v.known == nil || c.looksAtTime {
		return c.holds(q, v)
	}
	var asks lastHeld
	if c.looksAtRequest {
		asks.method, asks.scheme, asks.host = q.Method, q.Scheme, q.name
	}
	if c.looksAtPath {
		asks.path = q.path
	}
	asks.condition = c
	beside := v.known.remember()
	if last := beside.held.Load(); last != nil {
		asks.holds = last.holds
		if asks == *last {
			return last.holds, nil
		}
	}
	holds, err := c.holds(q, v)
	if err == nil {
		beside.held.Store(&lastHeld{c, asks.method, asks.scheme, asks.host, asks.path, holds})
	}
	return holds, err
}

// whenValues gives an evaluation its variables.
type whenValues struct {
	request request
	viewer  viewer
}

// ResolveName returns the value of a variable.
func (w *whenValues) ResolveName(name string) (any, bool) {
	switch name {
	case "request.method":
		return w.request.Method, true
	case "request.scheme":
		return w.request.Scheme, true
	case "request.host":
		return w.request.name, true
	case "request.path":
		return w.request.path, true
	case "request.time":
		return w.viewer.now, true
	}
	s := w.viewer.open()
	if s == nil {
		return nil, false
	}
	switch name {
	case "claims":
		return whenClaims{types.NewStringInterfaceMap(types.DefaultTypeAdapter, s.Claims), s}, true
	case "session.subject":
		return s.Subject, true
	case "session.issuer":
		return s.Issuer, true
	case "session.groups":
		return w.viewer.groups(), true
	case "session.email":
		return w.viewer.email(), true
	case "session.acr":
		return s.ACR, true
	case "session.auth_time":
		if s.AuthTime.IsZero() {
			return time.Unix(0, 0), true
		}
		return s.AuthTime, true
	case "session.created":
		return s.Created, true
	case "session.expires":
		return s.Expires, true
	}
	return nil, false
}

// Parent returns nil: there is no other scope.
func (w *whenValues) Parent() interpreter.Activation { return nil }

// whenClaims are the claims, and those that a session has fields for, which cannot be overridden.
type whenClaims struct {
	traits.Mapper
	session *session.Session
}

// Find returns a claim.
func (c whenClaims) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	if slices.Contains(firstHand, string(name)) {
		text, _ := claim(c.session, string(name)).(string)
		return types.String(text), text != ""
	}
	return c.Mapper.Find(key)
}

// Get returns a claim, or an error where there is none.
func (c whenClaims) Get(key ref.Val) ref.Val {
	if value, found := c.Find(key); found {
		return value
	}
	return types.NewErr("no such claim")
}

// Contains reports whether there is a claim.
func (c whenClaims) Contains(key ref.Val) ref.Val {
	_, found := c.Find(key)
	return types.Bool(found)
}

// assumedSizes estimates what only a request or a session tells.
type assumedSizes struct{}

// EstimateSize bounds a text or a list.
func (assumedSizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	size := checker.SizeEstimate{Max: assumedText}
	switch element.Type().Kind() {
	case types.ListKind, types.MapKind, types.DynKind:
		size.Max = assumedList
	}
	return &size
}

// EstimateCallCost leaves the costs of functions as they are.
func (assumedSizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
