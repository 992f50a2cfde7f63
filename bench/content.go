package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// contentBytes is the size of every config that is read and published.
const contentBytes = 1 << 10

// markDigits is how wide the number is by which one content differs from the
// next. It is patched in place, so that requests need no rendering.
const markDigits = 12

const markPrefix = "bench-"

// mark renders what makes a content, and the event that carries it, its own.
func mark(n int64) string { return fmt.Sprintf("%s%0*d", markPrefix, markDigits, n) }

// patch writes the number n over the mark in a rendered request.
func patch(request []byte, at int, n int64) {
	for i := at + markDigits - 1; i >= at; i-- {
		request[i] = byte('0' + n%10)
		n /= 10
	}
}

// markAt returns where the mark's number stands; -1 if nowhere.
func markAt(request []byte) int {
	i := bytes.Index(request, []byte(markPrefix))
	if i < 0 {
		return -1
	}
	return i + len(markPrefix)
}

// document returns a JSON config of contentBytes, with a mark.
func document(n int64) []byte { return documentOf(n, contentBytes) }

// documentOf returns a JSON config of that size, with a mark.
func documentOf(n int64, size int) []byte {
	type pool struct {
		Name    string `json:"name"`
		Address string `json:"address"`
		Size    int    `json:"size"`
		Timeout string `json:"timeout"`
		Enabled bool   `json:"enabled"`
	}
	doc := struct {
		Mark  string `json:"mark"`
		Pools []pool `json:"pools"`
		Rest  string `json:"rest"`
	}{Mark: mark(n)}
	for i := range 6 {
		doc.Pools = append(doc.Pools, pool{fmt.Sprintf("pool-%d", i), fmt.Sprintf("10.0.%d.1:5432", i), 10 * i, fmt.Sprintf("%ds", i), i%2 == 0})
	}
	text, err := json.Marshal(doc)
	if err != nil { // plain values always marshal
		return nil
	}
	if missing := size - len(text); missing > 0 {
		doc.Rest = filler(missing)
	}
	text, err = json.Marshal(doc)
	if err != nil {
		return nil
	}
	return text
}

// publishBody renders the body that publishes a content.
func publishBody(content []byte, comment string) ([]byte, error) {
	return json.Marshal(struct {
		Content string `json:"content"`
		Format  string `json:"format"`
		Comment string `json:"comment"`
	}{string(content), "json", comment})
}

// filler returns text that is the same each time and does not compress well.
func filler(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it is no secret
	text := make([]byte, n)
	for i := range text {
		text[i] = letters[random.IntN(len(letters))]
	}
	return string(text)
}
