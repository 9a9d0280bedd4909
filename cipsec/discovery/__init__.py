"""DNS-SD over multicast DNS: find EST servers and announce one; asking them is left to `est`."""
