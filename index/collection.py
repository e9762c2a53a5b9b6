import threading

import numpy as np


def check_faiss():
    return None


class Collection:
    def __init__(self, dim, capacity=1024):
        self.dim = dim
        self._rows = {}
        self.applied_seq = 0
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._rows)

    def upsert(self, keys, vectors, seq=None):
        with self._lock:
            rows = dict(self._rows)
            rows.update(zip(np.asarray(keys).tolist(), np.array(vectors, dtype=np.float32)))
            self._rows = rows

    def delete(self, keys):
        with self._lock:
            rows = dict(self._rows)
            n = sum(rows.pop(int(k), None) is not None for k in keys)
            self._rows = rows
        return n

    def keys(self):
        return np.array(sorted(self._rows), dtype=np.int64)

    def contains(self, keys):
        r = self._rows
        return np.array([int(k) in r for k in keys], dtype=bool)

    def get(self, keys):
        r = self._rows
        return np.array([r[int(k)] for k in keys], dtype=np.float32).reshape(-1, self.dim)

    def bitmap(self, keys):
        return set(np.asarray(keys).tolist())

    def search(self, queries, k, where=None):
        r = self._rows
        ks = np.array([x for x in sorted(r) if where is None or x in where], dtype=np.int64)
        k2 = min(k, len(ks))
        out = np.full((len(queries), k), -1, dtype=np.int64)
        sc = np.full((len(queries), k), -np.inf, dtype=np.float32)
        if k2:
            m = np.array([r[int(x)] for x in ks])
            s = queries @ m.T
            for i in range(len(queries)):
                o = np.lexsort((ks, -s[i]))[:k2]
                out[i, :k2] = ks[o]
                sc[i, :k2] = s[i][o]
        return out, sc

    def close(self):
        pass
