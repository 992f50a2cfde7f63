// Package fault breaks a cluster in every way that there is, under load, and
// judges what its clients have seen: the built binary in processes of its own,
// over real TLS, on machines of a lab that can be cut off from each other,
// slowed down, frozen and killed.
//
// It says how it went in a table: FAULTS_REPORT names a file for it. FAULTS_ROUNDS
// is how often each scenario runs (1), FAULTS_SECONDS how long each fault lasts
// at least (1), FAULTS_SEED which changes are made.
package fault
