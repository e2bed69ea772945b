"""The figures as people meet them: each with caption, numbers and the controls that choose its variants."""
