# What the tray says beyond the things themselves.

tray-item = { $name } — { $state }
tray-item-dated = { $name } — { $state } · { $deadline }
# Indented below the thing that it belongs to.
tray-action = {"    "}{ $action }
tray-more = { $count ->
    [one] And 1 more: obnova list
   *[other] And { $count } more: obnova list
}

tray-help = Shows what Obnova watches beside the clock, tells what is due, and asks for the password when one is needed
tray-help-bus = Address of the bus on which Obnova's service is; the session bus if not given
tray-help-pinentry = The program that asks for passwords; the first that can show a window if not given
