"""Small pickles that call functions, take gigabytes or show what fills the memory."""

# NumPy's number of a type, up to the type's state and the bytes.
SCALAR = b'cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S%b\nI0\nI1\ntR'
WORD = b'X\xe8\x03\x00\x00' + b'w' * 1000
HOSTILE = {
    'a command': b'cos\nsystem\n(S"true"\ntR.',
    'code': b'c__builtin__\neval\n(S"1"\ntR.',
    'nested tuples': b'(' * 100_000 + b't' * 100_000 + b'.',
    'an index of the memo': b'Nr\xff\xff\xff\x7f(.',
    'a number of 2 GB': SCALAR % b"'V2000000000'" + b'tR.',
    'a state of 2 GB': SCALAR % b"'i8'" + b'(I3\nS"|"\nNNNI2000000000\nI1\nI0\ntbtR.',
    'a byte array of 8 GB': b'\x80\x05\x96\x00\x00\x00\x00\x02\x00\x00\x00.',
    'a text of 2 GB': b'\x80\x04X\xff\xff\xff\x7f.',
    'nested tuples as a key': b')' + b'\x85' * 300_000 + b'q\x00}h\x00Ns.',
    'lists of lists of words': b']q\x00(' + WORD + b'q\x01' + b'h\x01' * 4000 + b'e'
    b'](' + b'h\x00' * 4000 + b'e.',
    'a list in itself': b']q\x00h\x00a.',
    'copies': b'(' + b'I1\n' * 4000 + b'lq\x000' + b'ccollections\nOrderedDict\nq\x010'
    b'(' + b'h\x01(h\x00tR' * 4000 + b'l.',
    'an attribute of a function': b'cnumpy.core.multiarray\nscalar\nN}S"__defaults__"\nNs\x86b.',
    'a set': b'\x80\x04\x8f.',
    'an object': b'\x80\x02ccollections\nOrderedDict\n)\x81.',
    'nothing': b'',
    'no pickle': b'{"a": ["b"]}',
    'two lines\nin a name': b'cos\nsys\rtem\n.',
}
