package etcd

import (
	"encoding/binary"
	"fmt"
	"io"

	bolt "go.etcd.io/bbolt"
)

// How bbolt lays out its pages, in the byte order of the machine. A page has a
// header, a table of elements, and what those point at; a leaf's element may hold
// a small bucket, as a page within.
const (
	pageHeader   = 16 // id 8, flags 2, count 2, overflow 4
	pageElement  = 16 // branch: pos 4, ksize 4, id 8; leaf: flags 4, pos 4, ksize 4, vsize 4
	bucketHeader = 16 // root 8, sequence 8
	branchPage   = 1
	leafPage     = 2
	bucketFlag   = 1
)

// pages proves that what can be reached in a database is a tree within the file.
// bbolt takes that for granted: a page that is its own descendant would keep it
// busy for ever.
type pages struct {
	*reading
	file  io.ReaderAt
	size  int64    // of a page
	seen  []bool   // by id
	queue []uint64 // still to be looked at
}

// walkPages looks at every page that a transaction can reach.
func (r *reading) walkPages(tx *bolt.Tx, file io.ReaderAt) error {
	size := int64(tx.DB().Info().PageSize)
	p := &pages{reading: r, file: file, size: size, seen: make([]bool, tx.Size()/size)}
	p.queue = append(p.queue, uint64(tx.Cursor().Bucket().Root()))
	for n := 0; len(p.queue) > 0; n++ {
		if err := r.heed(n); err != nil {
			return err
		}
		id := p.queue[len(p.queue)-1]
		p.queue = p.queue[:len(p.queue)-1]
		if err := p.page(id); err != nil {
			return fmt.Errorf("its page %d is broken: %w", id, err)
		}
	}
	return nil
}

// page looks at one page, and notes those that it points at.
func (p *pages) page(id uint64) error {
	const metas = 2
	all := uint64(len(p.seen))
	if id < metas || id >= all {
		return fmt.Errorf("the database has %d", all)
	}
	at := int64(id) * p.size
	head, err := p.read(at, pageHeader)
	if err != nil {
		return err
	}
	length := 1 + uint64(binary.NativeEndian.Uint32(head[12:]))
	if own := binary.NativeEndian.Uint64(head); own != id || length > all-id {
		return fmt.Errorf("it says that it is page %d and %d pages long", own, length)
	}
	for i := id; i < id+length; i++ {
		if p.seen[i] {
			return fmt.Errorf("page %d is used twice", i)
		}
		p.seen[i] = true
	}
	switch flags := binary.NativeEndian.Uint16(head[8:]); flags {
	case branchPage:
		return p.branch(head, at, int64(length)*p.size)
	case leafPage:
		return p.leaf(head, at, int64(length)*p.size, true)
	default:
		return fmt.Errorf("it is of kind %x", flags)
	}
}

// branch notes the pages below.
func (p *pages) branch(head []byte, at, length int64) error {
	table, err := p.table(head, at, length)
	if err != nil {
		return err
	}
	for i := range len(table) / pageElement {
		e := table[i*pageElement:]
		end := element(i) + word(e) + word(e[4:])
		if end > length {
			return fmt.Errorf("its element %d ends at %d of %d bytes", i, end, length)
		}
		p.queue = append(p.queue, binary.NativeEndian.Uint64(e[8:]))
	}
	return nil
}

// leaf looks at the elements of a leaf, which may be a page within an element.
func (p *pages) leaf(head []byte, at, length int64, whole bool) error {
	table, err := p.table(head, at, length)
	if err != nil {
		return err
	}
	for i := range len(table) / pageElement {
		e := table[i*pageElement:]
		value := element(i) + word(e[4:]) + word(e[8:])
		size := word(e[12:])
		if value+size > length {
			return fmt.Errorf("its element %d ends at %d of %d bytes", i, value+size, length)
		}
		if word(e)&bucketFlag == 0 {
			continue
		}
		if !whole {
			return fmt.Errorf("its element %d is a bucket in a bucket without a page", i)
		}
		if err := p.bucket(at+value, size); err != nil {
			return err
		}
	}
	return nil
}

// bucket notes the root of a bucket, or looks at it where it has no page of its own.
func (p *pages) bucket(at, size int64) error {
	if size < bucketHeader {
		return fmt.Errorf("it has a bucket of %d bytes", size)
	}
	head, err := p.read(at, bucketHeader)
	if err != nil {
		return err
	}
	if root := binary.NativeEndian.Uint64(head); root != 0 {
		p.queue = append(p.queue, root)
		return nil
	}
	if size < bucketHeader+pageHeader {
		return fmt.Errorf("it has a bucket of %d bytes and no page", size)
	}
	if head, err = p.read(at+bucketHeader, pageHeader); err != nil {
		return err
	}
	if flags := binary.NativeEndian.Uint16(head[8:]); flags != leafPage {
		return fmt.Errorf("it has a bucket of kind %x and no page", flags)
	}
	return p.leaf(head, at+bucketHeader, size-bucketHeader, false)
}

// table returns the table of elements of a page.
func (p *pages) table(head []byte, at, length int64) ([]byte, error) {
	size := int64(binary.NativeEndian.Uint16(head[10:])) * pageElement
	if pageHeader+size > length {
		return nil, fmt.Errorf("its table has %d of %d bytes", size, length)
	}
	return p.read(at+pageHeader, size)
}

func (p *pages) read(at, size int64) ([]byte, error) {
	b := make([]byte, size)
	if _, err := p.file.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	return b, nil
}

// element returns where in its page the element is that its own offsets count from.
func element(i int) int64 { return pageHeader + int64(i)*pageElement }

func word(b []byte) int64 { return int64(binary.NativeEndian.Uint32(b)) }
