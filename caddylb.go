// Package caddylb registers every module of the suite. Importing it is all that xcaddy, or a program with
// its own main package, has to do.
package caddylb
