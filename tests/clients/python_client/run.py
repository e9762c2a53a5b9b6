"""Runs every case against the server named in the first argument and prints the report as JSON."""

import importlib
import json
import sys
import warnings

from world import World, called, run, watch

warnings.simplefilter("ignore")
settings = json.loads(sys.argv[1])
methods = watch(settings["server"])
for cases in ("inputs", "searches", "concepts", "models", "versions", "predictions", "workflows", "limits"):
    importlib.import_module(cases)
report = {"cases": run(World(**settings)), "methods": methods, "called": sorted(called)}
print(json.dumps(report))
