"""What an attacker uploads, kept as evidence: each case says what it tries and must be refused."""
