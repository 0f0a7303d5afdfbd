"""Real robots: SCSI media changers and the tape drives in them, by SG_IO or over iSCSI.

`cdb` and `decode` are pure bytes, `sense` says what an answer means, `transport` carries commands, `changer` and
`drive` are the devices, `backend` is the library that they make, and `discovery` looks for some.
"""
