// Package tour proves that what the README tells its readers to type works as
// typed and shows what they are shown: it takes the commands out of the README,
// types them into a shell against a server of its own, and compares. UPDATE=1
// writes what was shown into the pages.
package tour
