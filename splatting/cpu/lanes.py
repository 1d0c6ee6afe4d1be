"""Sixteen floats at once: LLVM instructions for Numba, because plain Numba loops do not vectorise.

LLVM lowers a <16 x float> to one AVX-512, two AVX2 or four SSE / NEON registers.
"""

# pyright: reportCallIssue=false
# (compiled functions and LLVM flags have signatures that the stubs do not know)

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

WIDTH = 16
FLOAT, INT = ir.FloatType(), ir.IntType(32)
VECTOR, INTS = ir.VectorType(FLOAT, WIDTH), ir.VectorType(INT, WIDTH)
FUSED = ("contract",)
"""Multiply-add may be fused; nothing else is relaxed, so that machines agree."""


def exp2_polynomial(degree: int = 5) -> list[float]:
    """Coefficients of 2^x for x in 0 to 1, highest first; relative error below 2e-7."""
    nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    powers = nodes[:, None] ** np.arange(degree, -1, -1)
    weights = 2.0 ** -nodes[:, None]
    return np.linalg.lstsq(powers * weights, np.ones(64), rcond=None)[0].tolist()


EXP2 = exp2_polynomial()


class Lanes:
    """Arithmetic on vectors, written with an LLVM builder."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def constant(self, value: float) -> ir.Constant:
        return ir.Constant(VECTOR, [float(np.float32(value))] * WIDTH)

    def ramp(self) -> ir.Constant:
        """0, 1, ... 15."""
        return ir.Constant(VECTOR, [float(i) for i in range(WIDTH)])

    def splat(self, scalar: Any) -> Any:
        """All lanes the same."""
        one = self.builder.insert_element(
            ir.Constant(VECTOR, ir.Undefined), scalar, ir.Constant(INT, 0)
        )
        zeros = ir.Constant(INTS, [0] * WIDTH)
        return self.builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), zeros)

    def add(self, x: Any, y: Any) -> Any:
        return self.builder.fadd(x, y, flags=FUSED)

    def sub(self, x: Any, y: Any) -> Any:
        return self.builder.fsub(x, y, flags=FUSED)

    def mul(self, x: Any, y: Any) -> Any:
        return self.builder.fmul(x, y, flags=FUSED)

    def div(self, x: Any, y: Any) -> Any:
        return self.builder.fdiv(x, y)

    def dot(self, *pairs: tuple[Any, Any]) -> Any:
        """Sum of products."""
        total = self.mul(*pairs[0])
        for x, y in pairs[1:]:
            total = self.add(self.mul(x, y), total)
        return total

    def compare(self, x: Any, sign: str, y: Any) -> Any:
        return self.builder.fcmp_ordered(sign, x, y)

    def select(self, mask: Any, x: Any, y: Any) -> Any:
        return self.builder.select(mask, x, y)

    def minimum(self, x: Any, y: Any) -> Any:
        return self.select(self.compare(x, "<", y), x, y)

    def any(self, mask: Any) -> Any:
        """Whether the mask holds in at least one lane."""
        bits = self.builder.bitcast(mask, ir.IntType(WIDTH))
        return self.builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(WIDTH), 0))

    def exp(self, x: Any) -> Any:
        """e^x for x in -80 to 0: 2^i times a polynomial in the rest."""
        power = self.mul(x, self.constant(1 / np.log(2)))
        whole = self.builder.fptosi(power, INTS)  # towards zero, so the rest is in -1 to 0
        rest = self.add(self.sub(power, self.builder.sitofp(whole, VECTOR)), self.constant(1.0))
        value = self.constant(EXP2[0])
        for coefficient in EXP2[1:]:
            value = self.add(self.mul(value, rest), self.constant(coefficient))
        biased = self.builder.add(whole, ir.Constant(INTS, [126] * WIDTH))
        exponent = self.builder.shl(biased, ir.Constant(INTS, [23] * WIDTH))
        return self.mul(self.builder.bitcast(exponent, VECTOR), value)

    def total(self, x: Any) -> Any:
        """The sum of all lanes."""
        kind = ir.FunctionType(FLOAT, (FLOAT, VECTOR))
        name = "llvm.vector.reduce.fadd.v16f32"
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return self.builder.call(function, (ir.Constant(FLOAT, 0.0), x), fastmath=("reassoc",))

    def load(self, base: Any, offset: Any) -> Any:
        return self.builder.load(self._place(base, offset), align=4)

    def store(self, value: Any, base: Any, offset: Any) -> None:
        self.builder.store(value, self._place(base, offset), align=4)

    def _place(self, base: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(base, [offset]), VECTOR.as_pointer())
