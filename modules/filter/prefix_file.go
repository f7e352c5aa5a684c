package filter

import (
	"net/netip"
	"os"
	"slices"

	"go.uber.org/zap"
)

// prefixFile is a list of prefixes in a file, read again when the file changes.
type prefixFile struct {
	path     string
	prefixes []netip.Prefix // as of the last time that the file was good

	taken   os.FileInfo // of what was read last, good or bad
	noticed os.FileInfo // as of the last look; nil for no file
	failure string      // what is wrong with the file, and was logged
}

// openPrefixFile reads a file that has to be good.
func openPrefixFile(path string) (*prefixFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f := &prefixFile{path: path, taken: info, noticed: info}
	f.prefixes, err = f.read()
	return f, err
}

func (f *prefixFile) read() ([]netip.Prefix, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parsePrefixList(f.path, file)
}

// refresh looks at the file, and reports whether it has another list than before. It reads the file once two looks found the same one: at the
// first it may be half written, or about to be replaced. One that is no good leaves the last good list, and is logged once.
func (f *prefixFile) refresh(logger *zap.Logger) bool {
	before := f.noticed
	info, err := os.Stat(f.path)
	if err != nil {
		f.noticed, f.taken = nil, nil
		if before == nil {
			f.logFailure(err, logger)
		}
		return false
	}
	f.noticed = info
	if isSame(info, f.taken) || !isSame(info, before) {
		return false
	}
	f.taken = info
	prefixes, err := f.read()
	if err != nil {
		f.logFailure(err, logger)
		return false
	}
	f.failure = ""
	if slices.Equal(prefixes, f.prefixes) {
		return false
	}
	f.prefixes = prefixes
	logger.Info("a list of addresses has changed", zap.String("file", f.path), zap.Int("entries", len(prefixes)))
	return true
}

func (f *prefixFile) logFailure(err error, logger *zap.Logger) {
	if f.failure != err.Error() {
		f.failure = err.Error()
		logger.Error("a list of addresses cannot be read, so what it was before stays", zap.String("file", f.path), zap.Error(err))
	}
}

// isSame reports whether a file is what it was at another look, nil for none.
func isSame(now, before os.FileInfo) bool {
	return before != nil && os.SameFile(now, before) && now.Size() == before.Size() && now.ModTime().Equal(before.ModTime())
}
