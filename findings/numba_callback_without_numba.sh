#!/usr/bin/env bash
# A Numba callback over arrays can be linked and run by llvmlite alone, without Numba: but only two options leave it free of Numba's runtime.
# Guessed:  machine code of `numba.cfunc` is bound to the process that compiled it: it counts references of arrays, raises through the interpreter, takes
#           the GIL, so Numba (45 MB, a third of a second) has to be imported wherever it runs; `error_model="numpy"`, which raises nothing, frees it.
# Seen:     Numba 0.68.1, llvmlite 0.50.0. The IR of a callback that hands `carray`s to a jitted loop names nine functions of Numba's runtime and of the
#           interpreter (numba_gil_ensure, PyErr_WriteUnraisable, ...), by default and with error_model="numpy": the wrapper cannot see that the loop
#           never fails. With `forceinline=True` (said of `jit`; `cfunc` takes it as well) on both, and error_model="numpy", one is left,
#           NRT_MemInfo_call_dtor, which is called for arrays that own their memory and never for a `carray`. A loop that makes an array asks for
#           NRT_MemInfo_alloc_aligned besides. An empty function of that name linked in, the object code runs in a process that imports llvmlite only.
# Why it matters: programs of many short processes (one for each job of a workflow) pay for the compiler in each of them.
# Source:   seen while taking Numba out of such processes; options: numba.readthedocs.io, "Just-in-Time compilation" and "C callbacks".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'numba==0.68.1' 'llvmlite==0.50.0' 'numpy==2.4.0' 2>/dev/null
cd "$work"
export HOME="$work" NUMBA_CACHE_DIR="$work/cache"
cat > compile.py <<'PY'
import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba import carray, types

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


def doubled(values):
    for i in range(values.shape[0]):
        values[i] *= 2


def greedy(values):
    values[:] = np.zeros(values.shape[0])


def wanted(loop, **options):
    inner = numba.njit(loop, **options)

    def callback(at, count):
        inner(carray(at, (count,)))

    made = numba.cfunc(types.void(types.CPointer(types.float64), types.int64), **options)(callback)
    part = llvm.parse_assembly(made.inspect_llvm())
    names = sorted(f.name for f in part.functions if f.is_declaration and not f.name.startswith(("llvm.", "mem")))
    return part, made.native_name, names


print("numba", numba.__version__, "llvmlite", llvmlite.__version__)
quiet = {"error_model": "numpy"}
whole = {**quiet, "forceinline": True}
print("default:", len(wanted(doubled)[2]), "of them the GIL:", "numba_gil_ensure" in wanted(doubled)[2])
print("error_model:", len(wanted(doubled, **quiet)[2]), "of them the GIL:", "numba_gil_ensure" in wanted(doubled, **quiet)[2])
part, name, names = wanted(doubled, **whole)
print("and forceinline:", *names)
print("that makes an array:", "NRT_MemInfo_alloc_aligned" in wanted(greedy, **whole)[2])
part.get_function(name).name = "doubled"
part.link_in(llvm.parse_assembly(f"define void @{names[0]}(ptr %0) {{ ret void }}"))
machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
open("doubled.o", "wb").write(machine.emit_object(part))
PY
cat > run.py <<'PY'
import ctypes
import sys

import llvmlite.binding as llvm

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
engine.add_object_file(llvm.ObjectFileRef.from_path("doubled.o"))
engine.finalize_object()
doubled = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(engine.get_function_address("doubled"))
values = (ctypes.c_double * 3)(1, 2, 3)
doubled(ctypes.addressof(values), 3)
print([*values], "numba imported:", "numba" in sys.modules)
PY
"$work/venv/bin/python" compile.py | tee said
"$work/venv/bin/python" run.py | tee ran
grep -qx 'default: 9 of them the GIL: True' said
grep -qx 'error_model: 9 of them the GIL: True' said
grep -qx 'and forceinline: NRT_MemInfo_call_dtor' said
grep -qx 'that makes an array: True' said
grep -qx '\[2.0, 4.0, 6.0\] numba imported: False' ran
echo "as described"
