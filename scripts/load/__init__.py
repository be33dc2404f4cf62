"""The load generator behind `dray load`: a catalogue, client processes, measurements, a report."""
