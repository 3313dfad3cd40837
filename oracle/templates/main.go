// Command templates renders the cases on standard input with Go's own template
// engine and the functions that shuttle's users have, and prints what came of
// them: the recording that crates/go-template is held to.
//
//	go run . < cases.json > ../../crates/go-template/src/execute/recorded.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"gopkg.in/yaml.v2"
)

type input struct {
	Data  string   `json:"data"`
	Cases []string `json:"cases"`
}

type recorded struct {
	Template string  `json:"template"`
	Output   *string `json:"output"`
}

type pair struct {
	Key   string
	Value any
}

func step(name string, from any) any {
	switch from := from.(type) {
	case nil, []any, string, bool, int:
		return nil
	case map[any]any:
		return from[name]
	case map[string]any:
		return from[name]
	case map[string]string:
		return from[name]
	default:
		panic(fmt.Sprintf("a path leads into a %T", from))
	}
}

func get(path string, from any) any {
	for _, name := range strings.Split(path, ".") {
		if from = step(name, from); from == nil {
			return nil
		}
	}
	return from
}

func pairs(path string, from any) []pair {
	all := []pair{}
	switch found := get(path, from).(type) {
	case map[any]any:
		for key, value := range found {
			all = append(all, pair{key.(string), value})
		}
	case map[string]any:
		for key, value := range found {
			all = append(all, pair{key, value})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Key < all[j].Key })
	return all
}

func functions() template.FuncMap {
	all := sprig.TxtFuncMap()
	own := template.FuncMap{
		"get": get,
		"string": func(path string, from any) string {
			if found := get(path, from); found != nil {
				return fmt.Sprint(found)
			}
			return ""
		},
		"int": func(path string, from any) int {
			if found := get(path, from); found != nil {
				return found.(int)
			}
			return 0
		},
		"array": func(path string, from any) []any {
			if list, ok := get(path, from).([]any); ok {
				return list
			}
			var all []any
			for _, one := range pairs(path, from) {
				all = append(all, one.Value)
			}
			return all
		},
		"objectArray": pairs,
		"strConst":    func(text string) string { return strings.ToUpper(strings.ReplaceAll(text, ".", "_")) },
		"is":          func(a, b any) bool { return a == b },
		"isnt":        func(a, b any) bool { return a != b },
		"trim":        strings.TrimSpace,
		"rightPad":    func(text string, width int) string { return fmt.Sprintf("%-*s", width, text) },
		"toYaml": func(value any) (string, error) {
			text, err := yaml.Marshal(value)
			return string(text), err
		},
	}
	for name, function := range own {
		all[name] = function
	}
	return all
}

func render(text string, data any) (output *string) {
	defer func() {
		if recover() != nil {
			output = nil
		}
	}()
	parsed, err := template.New("case").Funcs(functions()).Parse(text)
	if err != nil {
		return nil
	}
	var written strings.Builder
	if parsed.Execute(&written, data) != nil {
		return nil
	}
	result := written.String()
	return &result
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	vars := map[string]any{}
	if err := yaml.Unmarshal([]byte(in.Data), &vars); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	data := struct {
		Vars any
		Args map[string]string
	}{vars, map[string]string{"tag": "v1", "empty": ""}}
	results := []recorded{}
	for _, text := range in.Cases {
		results = append(results, recorded{text, render(text, data)})
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	encoder.Encode(map[string]any{"data": in.Data, "results": results})
}
