// Reads a gzip stream on its standard input as oras-go 1's writers do: one goroutine inflates and writes every read, an
// empty last one too, into a pipe; the other reads the tar archive out of the pipe and stops at its trailer. Where the
// stream goes on behind the archive's last byte, oras-go's first one waits for ever for somebody who takes what it has;
// here it is told that nobody will, and the exit status is 2.
package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

var errLeft = errors.New("something is left behind the trailer of the archive")

func inflate(to *io.PipeWriter, blockSize int, done chan<- error) {
	stream, err := gzip.NewReader(os.Stdin)
	block := make([]byte, blockSize)
	for err == nil {
		var n int
		n, err = stream.Read(block)
		if err == nil || err == io.EOF {
			if _, failed := to.Write(block[:n]); failed != nil {
				err = failed
			}
		}
	}
	if err == io.EOF {
		err = nil
	}
	done <- err
}

func untar(from io.Reader) error {
	archive := tar.NewReader(from)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		size, err := io.Copy(io.Discard, archive)
		if err != nil {
			return err
		}
		fmt.Println(header.Name, size)
	}
}

func main() {
	blockSize, err := strconv.Atoi(os.Args[1])
	if err == nil {
		from, to := io.Pipe()
		done := make(chan error, 1)
		go inflate(to, blockSize, done)
		if err = untar(from); err == nil {
			from.CloseWithError(errLeft)
			err = <-done
		}
	}
	if err == errLeft {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
